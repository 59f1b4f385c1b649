-- Replaces a partition's progress if it still is what the worker has compared, and removes the request for a rebuild.
--
-- KEYS[1]: the progress hash.
-- ARGV[1]: partition.  ARGV[2]: the offset that must be stored ('': none).  ARGV[3]: the offset to store instead.
-- ARGV[4]: the field of the request.
-- Returns 1 if it was replaced, else 0.

local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
-- What the worker does not accept as an offset counts as none. Otherwise nothing would ever replace it.
if #stored > 16 or stored:find('%D') then stored = '' end
if tonumber(stored) ~= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('HDEL', KEYS[1], ARGV[4])
return 1
