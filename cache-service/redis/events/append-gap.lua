-- Appends a gap to the stream, if the lease is ours.
--
-- KEYS[1]: the lease.  KEYS[2]: the stream.
-- ARGV[1]: our name as its holder.  ARGV[2]: why.  ARGV[3]: about how many entries the stream keeps.
-- Returns 1 if it was appended, else 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'kind', 'gap', 'reason', ARGV[2])
return 1
