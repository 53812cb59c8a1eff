-- GET of BENCH_PATH without a token; "{id}" in it is replaced by 1 to BENCH_IDS in turn.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

local path = os.getenv("BENCH_PATH")
local ids = number("BENCH_IDS", 0)
local before, after = path:match("^(.-){id}(.*)$")
local fixed = get(path)

function request()
   if ids == 0 then
      return fixed
   end
   sent = sent + 1
   -- Steps of a prime, so that neighbours in time are no neighbours in the table.
   return get(before .. (sent * 7919) % ids + 1 .. after)
end
