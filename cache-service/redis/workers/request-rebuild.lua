-- Deletes the progress of all partitions, and marks that this was requested: it is not a loss.
--
-- KEYS[1]: the progress hash.
-- ARGV: the field that marks the request, of each partition.

redis.call('DEL', KEYS[1])
for _, field in ipairs(ARGV) do redis.call('HSET', KEYS[1], field, '1') end
