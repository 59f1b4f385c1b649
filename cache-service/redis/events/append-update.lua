-- Records the type of a value that is already set and, if the caller holds the lease, appends the update to the stream.
--
-- KEYS[1]: the set of types.  KEYS[2]: the lease.  KEYS[3]: the stream.
-- KEYS[4]: the number of gaps that holders of the lease have appended.
-- ARGV[1]: the type.  ARGV[2]: the caller's name as a holder of the lease.  ARGV[3]: the event, as JSON.
-- ARGV[4]: approximate length of the stream.  ARGV[5]: reason of a gap to append before the event ('': no gap).
-- Returns {status, number of gaps}; status: 0 not the holder, 1 appended, or the error of the stream as text.

redis.pcall('SADD', KEYS[1], ARGV[1])

local stream = KEYS[3]
local counted = redis.pcall('GET', KEYS[4])
local gaps = type(counted) == 'string' and tonumber(counted) or 0
local status = 0
if redis.pcall('GET', KEYS[2]) == ARGV[2] then
  local added
  if ARGV[5] ~= '' then
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'gap', 'reason', ARGV[5])
    if type(added) ~= 'table' then redis.pcall('SET', KEYS[4], gaps + 1) end
  end
  if type(added) ~= 'table' then
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'update', 'type', ARGV[1], 'json', ARGV[3])
  end
  status = type(added) == 'table' and added.err or 1
end

return { status, gaps }
