-- Sets and deletes fields of a progress hash.
--
-- KEYS[1]: the progress hash.
-- ARGV: name, value, name, value, ...; a value of '': the field is deleted.

for i = 1, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
