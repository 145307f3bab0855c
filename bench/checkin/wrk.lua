-- Every request another server on a new connection; see load.py, which runs wrk with this script.
-- Arguments: a file of check-ins (path, space, Authorization on each line) and where to start.

local requests = {}
local position

function init(args)
   for line in io.lines(args[1]) do
      local path, authorization = line:match("^(%S+) (.+)$")
      requests[#requests + 1] = table.concat({
         "GET ", path, " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAuthorization: ",
         authorization, "\r\nConnection: close\r\n\r\n"})
   end
   position = tonumber(args[2])
end

function request()
   position = position % #requests + 1
   return requests[position]
end

function done(summary, latency, _)
   local errors = summary.errors
   io.write(string.format(
      '{"requests": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "bad": %d, "broken": %d}\n',
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
      errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
