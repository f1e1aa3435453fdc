import { delayedOperation, functionRole, roleMember } from "ponder:schema";
import type { Args } from "./handler.ts";
import { setSetting } from "./setting.ts";

const contract = "permissions";

export async function applyRoleGranted({ event, context }: Args<"Permissions:RoleGranted">) {
  const { roleId, account, delay, since } = event.args;
  const row = {
    isMember: true,
    delaySeconds: BigInt(delay),
    since: BigInt(since),
    eventId: event.id,
  };
  await context.db
    .insert(roleMember)
    .values({ contract, role: String(roleId), account, ...row })
    .onConflictDoUpdate(row);
}

export async function applyRoleRevoked({ event, context }: Args<"Permissions:RoleRevoked">) {
  const { roleId, account } = event.args;
  await context.db
    .update(roleMember, { contract, role: String(roleId), account })
    .set({ isMember: false, eventId: event.id });
}

export async function applyTargetFunctionRoleUpdated({
  event,
  context,
}: Args<"Permissions:TargetFunctionRoleUpdated">) {
  const { target, selector, roleId: role } = event.args;
  const row = { role, eventId: event.id };
  await context.db
    .insert(functionRole)
    .values({ target, selector, ...row })
    .onConflictDoUpdate(row);
}

export async function applyRoleLabel(args: Args<"Permissions:RoleLabel">) {
  const { roleId, label } = args.event.args;
  await setSetting(args, "Permissions", `label of ${roleId}`, label);
}

export async function applyRoleAdminChanged(args: Args<"Permissions:RoleAdminChanged">) {
  const { roleId, admin } = args.event.args;
  await setSetting(args, "Permissions", `admin of ${roleId}`, admin);
}

export async function applyRoleGuardianChanged(args: Args<"Permissions:RoleGuardianChanged">) {
  const { roleId, guardian } = args.event.args;
  await setSetting(args, "Permissions", `guardian of ${roleId}`, guardian);
}

/** The delay holds from `since` on, in unix seconds. */
export async function applyRoleGrantDelayChanged(args: Args<"Permissions:RoleGrantDelayChanged">) {
  const { roleId, delay, since } = args.event.args;
  await setSetting(args, "Permissions", `grant delay of ${roleId}`, `${delay} since ${since}`);
}

export async function applyTargetClosed(args: Args<"Permissions:TargetClosed">) {
  const { target, closed } = args.event.args;
  await setSetting(args, "Permissions", `${target} is closed`, closed);
}

export async function applyTargetAdminDelayUpdated(args: Args<"Permissions:TargetAdminDelayUpdated">) {
  const { target, delay, since } = args.event.args;
  await setSetting(args, "Permissions", `admin delay of ${target}`, `${delay} since ${since}`);
}

export async function applyOperationScheduled({ event, context }: Args<"Permissions:OperationScheduled">) {
  const { operationId: id, nonce, schedule, ...call } = event.args;
  await context.db.insert(delayedOperation).values({
    id,
    nonce,
    schedule: BigInt(schedule),
    ...call,
    state: "scheduled",
    eventId: event.id,
  });
}

export async function applyOperationExecuted({ event, context }: Args<"Permissions:OperationExecuted">) {
  const { operationId: id, nonce } = event.args;
  await context.db.update(delayedOperation, { id, nonce }).set({ state: "executed" });
}

export async function applyOperationCanceled({ event, context }: Args<"Permissions:OperationCanceled">) {
  const { operationId: id, nonce } = event.args;
  await context.db.update(delayedOperation, { id, nonce }).set({ state: "canceled" });
}
