-- Bodies for wrk: logs as a small house or workshop makes them, rendered before the clock starts.
-- BATCH=n  logs in a request: 1 sends a plain object to the path given, more send {"logs":[...]}.
-- SEED=n   another set of values.
-- ERRORS=no  leaves out the logs of level error, which wait for a commit.
-- CLOSE=yes  a connection for each request.
-- BODIES=f  takes the bodies from a file instead: for each a line with its length in bytes, then the body; CODING=gzip says
--           that they are compressed.
-- Prints one line at the end, "RESULT {...}", with requests, seconds, errors and latencies.

local batch = tonumber(os.getenv("BATCH") or "1")
local seed = tonumber(os.getenv("SEED") or "1")
local has_errors = os.getenv("ERRORS") ~= "no"
-- Enough different bodies that no cache holds the answer, few enough that wrk itself stays small.
local bodies = batch >= 1000 and 8 or (batch >= 100 and 32 or 256)

local function pick(n) return math.random(n) end
local function hex(digits)
    local out = {}
    for i = 1, digits do out[i] = string.format("%x", math.random(0, 15)) end
    return table.concat(out)
end

-- Level, source, message. Two in three are what runs all day, the rest is what one looks for. The last is the error.
local shapes = {
    function() return "info", "zigbee2mqtt", string.format("MQTT publish: topic 'zigbee2mqtt/sensor_%d', payload temperature=%.1f humidity=%d", pick(80), pick(400) / 10, pick(100)) end,
    function() return "info", "nginx", string.format("192.168.1.%d GET /api/states/%d 200 %d bytes in %d ms", pick(254), pick(9000), pick(90000), pick(400)) end,
    function() return "debug", "gateway", string.format("request %s-%s-%s-%s-%s took %d ms", hex(8), hex(4), hex(4), hex(4), hex(12), pick(900)) end,
    function() return "info", "modbus", string.format("read %d registers from unit %d on /dev/ttyUSB%d in %d ms", pick(120), pick(32), pick(4) - 1, pick(300)) end,
    function() return "info", "auth-service", string.format("User %d logged in from 10.0.%d.%d", pick(100000), pick(255), pick(255)) end,
    function() return "info", "backup", string.format("stored /srv/backup/2026/part-%05d.tar (%d bytes) sha=%s", pick(99999), pick(2 ^ 30), hex(16)) end,
    function() return "warn", "sshd", string.format("Failed password for admin from 203.0.113.%d port %d ssh2", pick(254), 1024 + pick(60000)) end,
    function() return "warn", "node-red", string.format("[http request:weather-%d] no answer after %d ms, attempt %d", pick(12), pick(9000), pick(5)) end,
    function() return "error", "kernel", string.format("[%d.%06d] mmc0: timeout waiting for hardware interrupt, argument 0x%s", pick(900000), pick(999999), hex(8)) end,
}

local function log()
    local level, source, message = shapes[pick(has_errors and #shapes or #shapes - 1)]()
    return string.format(
        '{"timestamp":"2026-04-%02dT%02d:%02d:%02d.%03dZ","level":"%s","source":"%s","host":"pi-%02d","message":"%s"}',
        pick(30), pick(24) - 1, pick(60) - 1, pick(60) - 1, pick(1000) - 1, level, source, pick(8), message)
end

local requests = {}
local next_request = 0

local headers = { ["Content-Type"] = "application/json", ["Content-Encoding"] = os.getenv("CODING") }
if os.getenv("CLOSE") == "yes" then headers["Connection"] = "close" end

local function read(path)
    local file = assert(io.open(path, "rb"))
    while true do
        local count = file:read("*n", "*l")
        if not count then break end
        requests[#requests + 1] = wrk.format("POST", nil, headers, file:read(count))
    end
    file:close()
end

function init()
    if os.getenv("BODIES") then return read(os.getenv("BODIES")) end
    math.randomseed(seed)
    for i = 1, bodies do
        local logs = {}
        for j = 1, batch do logs[j] = log() end
        local body = batch == 1 and logs[1] or '{"logs":[' .. table.concat(logs, ",") .. "]}"
        requests[i] = wrk.format("POST", nil, headers, body)
    end
end

function request()
    next_request = next_request % #requests + 1
    return requests[next_request]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"requests":%d,"seconds":%.6f,"refused":%d,"socket_errors":%d,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f}\n',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000))
end
