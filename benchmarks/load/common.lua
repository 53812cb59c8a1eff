-- What every load script shares: tokens, unique keys, the count of statuses and the report.
-- Settings come from the environment: BENCH_TOKENS (a file, line n is customer n's token), BENCH_FIRST and BENCH_COUNT
-- (which customers), BENCH_THREADS, BENCH_KEY (what the idempotency keys begin with), BENCH_HOST.

local STATUSES = { 200, 201, 202, 304, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 502, 503, 504 }
local threads = {}

sent = 0
customers = {}
tokens = {}
host = os.getenv("BENCH_HOST") or "127.0.0.1"

function number(name, default)
   return tonumber(os.getenv(name) or "") or default
end

function setup(thread)
   thread:set("thread_number", #threads)
   table.insert(threads, thread)
end

-- Thread k of n takes every n-th customer, so that no two threads act for one customer at a time.
function init(args)
   local first = number("BENCH_FIRST", 1)
   local last = first + number("BENCH_COUNT", 0) - 1
   local step = number("BENCH_THREADS", 1)
   local path = os.getenv("BENCH_TOKENS")
   if path and path ~= "" and last >= first then
      local line_number = 0
      for line in io.lines(path) do
         line_number = line_number + 1
         if line_number > last then
            break
         end
         if line_number >= first and (line_number - first) % step == thread_number then
            tokens[#tokens + 1] = line
            customers[#customers + 1] = line_number
         end
      end
   end
   key = (os.getenv("BENCH_KEY") or "bench") .. "-" .. thread_number .. "-"
end

-- The place of the next customer in `tokens`; from the beginning again after the last.
function next_place()
   local place = sent % #tokens + 1
   sent = sent + 1
   return place
end

function get(path, token)
   local authorization = token and ("Authorization: Bearer " .. token .. "\r\n") or ""
   return "GET " .. path .. " HTTP/1.1\r\nHost: " .. host .. "\r\n" .. authorization .. "\r\n"
end

function post(path, token, body)
   return "POST " .. path .. " HTTP/1.1\r\nHost: " .. host .. "\r\nAuthorization: Bearer " .. token
      .. "\r\nIdempotency-Key: " .. key .. sent .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body
      .. "\r\n\r\n" .. body
end

-- Only scripts of writes count statuses one by one: it costs the generator about a microsecond per answer.
function count_statuses()
   response = function(status)
      local name = "status_" .. status
      _G[name] = (_G[name] or 0) + 1
   end
end

function done(summary, latency, requests)
   local statuses, counted, most_sent = {}, 0, 0
   for _, thread in ipairs(threads) do
      most_sent = math.max(most_sent, thread:get("sent") or 0)
   end
   for _, status in ipairs(STATUSES) do
      local total = 0
      for _, thread in ipairs(threads) do
         total = total + (thread:get("status_" .. status) or 0)
      end
      if total > 0 then
         table.insert(statuses, '"' .. status .. '":' .. total)
         counted = counted + total
      end
   end
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests":%d,"duration_us":%d,"bytes":%d,"sent_most":%d,"counted":%d,"statuses":{%s},'
         .. '"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,'
         .. '"p50_us":%d,"p95_us":%d,"p99_us":%d,"max_us":%d}\n',
      summary.requests, summary.duration, summary.bytes, most_sent, counted, table.concat(statuses, ","),
      errors.connect, errors.read, errors.write, errors.status, errors.timeout,
      latency:percentile(50), latency:percentile(95), latency:percentile(99), latency.max))
end
