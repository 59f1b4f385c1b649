-- Sets the value of one type and, if the caller holds the lease, appends the update to the stream.
--
-- KEYS[1]: the key (the type itself).  KEYS[2]: the set of types.  KEYS[3]: the lease.  KEYS[4]: the stream.
-- KEYS[5]: the number of gaps that holders of the lease have appended.
-- ARGV[1]: the value.  ARGV[2]: the caller's name as a holder of the lease.  ARGV[3]: the event, as JSON.
-- ARGV[4]: approximate length of the stream.  ARGV[5]: reason of a gap to append before the event ('': no gap).
-- ARGV[6]: '1' to read the value back.
-- Returns {status, value read back or nil, number of gaps}; status: 0 set, 1 set and appended, or the error of the stream
-- as text.
--
-- SET comes first: it is the only command that can fail for lack of memory, and then nothing has been written.

local key, stream = KEYS[1], KEYS[4]
redis.call('SET', key, ARGV[1])
redis.pcall('SADD', KEYS[2], key)

local counted = redis.pcall('GET', KEYS[5])
local gaps = type(counted) == 'string' and tonumber(counted) or 0
local status = 0
if redis.pcall('GET', KEYS[3]) == ARGV[2] then
  local added
  if ARGV[5] ~= '' then
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'gap', 'reason', ARGV[5])
    if type(added) ~= 'table' then redis.pcall('SET', KEYS[5], gaps + 1) end
  end
  if type(added) ~= 'table' then
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[4], '*', 'kind', 'update', 'type', key, 'json', ARGV[3])
  end
  status = type(added) == 'table' and added.err or 1
end

return { status, ARGV[6] == '1' and redis.call('GET', key), gaps }
