-- GET of each customer's own balance, with the customer's token and one letter too many.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
count_statuses()

function request()
   local place = next_place()
   return get("/api/balance/" .. customers[place], tokens[place] .. "x")
end
