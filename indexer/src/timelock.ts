import { roleMember, timelockCall, timelockOperation } from "ponder:schema";
import type { Hex } from "viem";
import type { Args } from "./handler.ts";
import { setSetting } from "./setting.ts";

const contract = "timelock";

export async function applyCallScheduled({ event, context }: Args<"Timelock:CallScheduled">) {
  const { id: callId, index, delay, ...call } = event.args;
  const row = {
    ...call,
    readyAt: event.block.timestamp + delay,
    isExecuted: false,
    eventId: event.id,
  };
  await context.db
    .insert(timelockOperation)
    .values({ id: callId, isCancelled: false })
    .onConflictDoUpdate({ isCancelled: false });
  await context.db
    .insert(timelockCall)
    .values({ callId, index, ...row })
    .onConflictDoUpdate(row);
}

export async function applyCallExecuted({ event, context }: Args<"Timelock:CallExecuted">) {
  const { id: callId, index } = event.args;
  await context.db.update(timelockCall, { callId, index }).set({ isExecuted: true });
}

export async function applyCallSalt({ event, context }: Args<"Timelock:CallSalt">) {
  const { id, salt } = event.args;
  await context.db
    .insert(timelockOperation)
    .values({ id, salt, isCancelled: false })
    .onConflictDoUpdate({ salt });
}

/** One that was cancelled may be scheduled again. */
export async function applyCancelled({ event, context }: Args<"Timelock:Cancelled">) {
  await context.db.update(timelockOperation, { id: event.args.id }).set({ isCancelled: true });
}

export async function applyMinDelayChange(args: Args<"Timelock:MinDelayChange">) {
  await setSetting(args, "Timelock", "minDelay", args.event.args.newDuration);
}

export async function applyTimelockRoleGranted({ event, context }: Args<"Timelock:RoleGranted">) {
  await setMember({ event, context }, true);
}

export async function applyTimelockRoleRevoked({ event, context }: Args<"Timelock:RoleRevoked">) {
  await setMember({ event, context } as never, false);
}

export async function applyTimelockRoleAdminChanged(args: Args<"Timelock:RoleAdminChanged">) {
  const { role, newAdminRole } = args.event.args;
  await setSetting(args, "Timelock", `admin of ${role}`, newAdminRole);
}

async function setMember({ event, context }: Args<"Timelock:RoleGranted">, isMember: boolean): Promise<void> {
  const { role, account }: { role: Hex; account: Hex } = event.args;
  const row = { isMember, eventId: event.id };
  await context.db
    .insert(roleMember)
    .values({ contract, role, account, ...row })
    .onConflictDoUpdate(row);
}
