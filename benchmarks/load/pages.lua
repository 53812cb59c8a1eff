-- GET of the pages that BENCH_PAGES names, in turn: a file with "customer<TAB>path" in each line, customer 0 for nobody.
-- The tokens are in BENCH_TOKENS as everywhere.
dofile(os.getenv("BENCH_SCRIPTS") .. "/common.lua")

local requests = {}

local load_tokens = init
function init(args)
   load_tokens(args)
   local token_of = {}
   for place, customer in ipairs(customers) do
      token_of[customer] = tokens[place]
   end
   for line in io.lines(os.getenv("BENCH_PAGES")) do
      local customer, path = line:match("^(%d+)\t(.*)$")
      requests[#requests + 1] = get(path, token_of[tonumber(customer)])
   end
end

function request()
   sent = sent + 1
   return requests[(sent - 1) % #requests + 1]
end
