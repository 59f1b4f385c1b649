-- Advances a partition's progress if it still has the value that the worker last stored.
--
-- KEYS[1]: the progress hash.
-- ARGV[1]: partition.  ARGV[2]: the offset that the worker last stored ('': none).  ARGV[3]: the next offset.
-- Returns false if the stored offset was as expected (it is never moved back), else the stored offset ('': none).

local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then return stored end
if stored == '' or tonumber(ARGV[3]) > tonumber(stored) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return false
