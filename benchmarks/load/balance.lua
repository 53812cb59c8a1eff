-- GET of each customer's own balance.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

function request()
   local place = next_place()
   return get("/api/balance/" .. customers[place], tokens[place])
end
