-- Writes a master's copy of a partition's progress if it still is what the worker has seen.
--
-- KEYS[1]: the progress hash.
-- ARGV[1]: partition.  ARGV[2]: the offset that must be stored ('': none).  ARGV[3]: the claim that must be stored ('': none).
-- ARGV[4]: the next offset.  ARGV[5]: the claim.
-- Returns 1 if it was written, else 0.

local slots = ARGV[1] .. ':slots'
local stored = redis.call('HMGET', KEYS[1], ARGV[1], slots)
local offset = stored[1] or ''
-- What the worker does not accept as an offset counts as none. Otherwise nothing would ever replace it.
if #offset > 16 or offset:find('%D') then offset = '' end
if tonumber(offset) ~= tonumber(ARGV[2]) or (stored[2] or '') ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4], slots, ARGV[5])
return 1
