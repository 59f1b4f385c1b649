-- Appends a gap to the stream.
--
-- KEYS[1]: the lease.  KEYS[2]: the stream.  KEYS[3]: the number of gaps that holders of the lease have appended.
-- ARGV[1]: the caller's name as a holder; '': it need not hold the lease, and the gap is not counted.
-- ARGV[2]: the reason.  ARGV[3]: approximate length of the stream.
-- Returns 1 if the gap was appended, 0 if another process holds the lease.

local isHolder = redis.call('GET', KEYS[1]) == ARGV[1]
if ARGV[1] ~= '' and not isHolder then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'kind', 'gap', 'reason', ARGV[2])
if isHolder then redis.call('SET', KEYS[3], (tonumber(redis.call('GET', KEYS[3])) or 0) + 1) end
return 1
