-- Join the epoch; begin one where there is none, or where the server is not the one it began on, which may have lost
-- what it knew. In a new epoch nothing is let through that budgets count, until all processes have had time to register
-- their calls under way and to write their records: each that comes from another epoch defers the end of that.
--   KEYS: epoch, rebuilding    ARGV: the epoch that the caller knew, if any; a new one; the server's run id; milliseconds
-- Answers the epoch, and for how many milliseconds nothing is let through.

local kept = redis.call('HMGET', KEYS[1], 'id', 'run')
local is_new = not kept[1] or kept[2] ~= ARGV[3]
if is_new then
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'run', ARGV[3])
end
if is_new or (ARGV[1] ~= '' and ARGV[1] ~= kept[1]) then
  redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
end
return { redis.call('HGET', KEYS[1], 'id'), redis.call('PTTL', KEYS[2]) }
