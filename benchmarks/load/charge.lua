-- A charge of 1,000 won by each customer in turn.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
count_statuses()

function request()
   return post("/api/balance/charge", tokens[next_place()], '{"amount":1000}')
end
