-- Book what a call used and give back the rest; only the first time counts.
--   KEYS: epoch, expiries, the lease    ARGV: the epoch that the caller knows; the lease's id; now, tokens, money, unsure
-- Answers false where the caller's epoch is over. `unsure`: its lease may still be on its way, and must find this.

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return false
end
local call = cmsgpack.unpack(ARGV[3])
local kept = redis.call('GET', KEYS[3])
if kept and kept ~= '' then
  local lease = cmsgpack.unpack(kept)
  book(ARGV[2], lease, call, call.now, lease.reaped)
  give_back(lease, call, call.now)
  redis.call('ZREM', KEYS[2], ARGV[2])
  redis.call('DEL', KEYS[3])
end
if call.unsure then
  redis.call('SET', KEYS[3], '', 'EX', LATE)
end
return 1
