-- Advances a partition's progress, if it stands where the worker left it.
--
-- KEYS[1]: the progress hash.
-- ARGV[1]: partition.  ARGV[2]: what the worker left there ('' for nothing).  ARGV[3]: the next offset.
-- Returns false if it was as expected (it never goes back), else what is stored ('' for nothing).

local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then return stored end
if stored == '' or tonumber(ARGV[3]) > tonumber(stored) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return false
