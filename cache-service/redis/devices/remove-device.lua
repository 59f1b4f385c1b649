-- Removes a device: its hash, and its id from the index.
--
-- KEYS[1]: the device hash.  KEYS[2]: the device index.  ARGV[1]: the id.
-- Returns 1 if the hash existed, else 0.

local existed = redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return existed
