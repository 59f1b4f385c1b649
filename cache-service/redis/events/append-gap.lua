-- Appends a gap to the stream if the caller holds the lease.
--
-- KEYS[1]: the lease.  KEYS[2]: the stream.
-- ARGV[1]: the caller's name as a holder.  ARGV[2]: the reason.  ARGV[3]: approximate length of the stream.
-- Returns 1 if the gap was appended, else 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'kind', 'gap', 'reason', ARGV[2])
return 1
