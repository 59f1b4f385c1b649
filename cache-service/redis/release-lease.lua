-- KEYS[1]: a lease.  ARGV[1]: the token of who asks.  Gives the lease up if it is still theirs.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
