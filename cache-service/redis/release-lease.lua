-- Releases a lease if it still belongs to the caller.
--
-- KEYS[1]: the lease.  ARGV[1]: the caller's name as a holder.
-- Returns 1 if the lease was released, else 0.

if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
