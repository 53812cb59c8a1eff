-- One unit of the coupon BENCH_COUPON for each customer in turn.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
count_statuses()

local path = "/api/coupons/" .. os.getenv("BENCH_COUPON") .. "/issue"

function request()
   return post(path, tokens[next_place()], "")
end
