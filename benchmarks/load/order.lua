-- An order of two products, one unit each, by each customer in turn. BENCH_PRODUCT: of this one product only.
-- BENCH_COUPON: with the coupon that the customer holds since the data set was loaded, whose id is the customer's. BENCH_DELAY_MS:
-- how long each connection waits before a request, on average.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")
count_statuses()

local products = number("BENCH_PRODUCTS", 1)
local product = os.getenv("BENCH_PRODUCT")
local with_coupon = os.getenv("BENCH_COUPON") == "yes"

function request()
   local place = next_place()
   local items
   if product then
      items = '{"productId":' .. product .. ',"quantity":1}'
   else
      local first = math.random(products)
      local second = (first + math.random(products - 1) - 1) % products + 1
      items = '{"productId":' .. first .. ',"quantity":1},{"productId":' .. second .. ',"quantity":1}'
   end
   local coupon = with_coupon and (',"userCouponId":' .. customers[place]) or ""
   return post("/api/orders", tokens[place], '{"items":[' .. items .. "]" .. coupon .. "}")
end

local delay_ms = number("BENCH_DELAY_MS", 0)
if delay_ms > 0 then
   -- Whole milliseconds only: the rest is made up for by chance, and the spread keeps the connections apart.
   function delay()
      return math.floor(math.random() * 2 * delay_ms + 0.5)
   end
end
