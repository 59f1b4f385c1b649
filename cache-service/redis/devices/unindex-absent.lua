-- Removes ids from the device index if their hash does not exist. Checking and removing is one atomic step, so a
-- device that returns in the meantime stays in the index.
--
-- KEYS[1]: the device index.  KEYS[2..]: device hashes.  ARGV: their ids.
-- Returns the number of removed ids.

local absent = {}
for i, id in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[i + 1]) == 0 then absent[#absent + 1] = id end
end
if #absent == 0 then return 0 end
return redis.call('SREM', KEYS[1], unpack(absent))
