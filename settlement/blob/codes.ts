/** Wire values of an entry's `role`. */
export const roles = { contributor: 0, datanetOwner: 1, validator: 2, modelOwner: 3, carried: 4 } as const;

/** Wire values of an entry's `reason`: 0 is paid, the others say why nothing was. */
export const reasons = {
  paid: 0,
  noEffect: 1,
  contextDidNotHelp: 2,
  retracted: 3,
  roundsToZero: 4,
  noRecipient: 5,
  belowCut: 6,
} as const;

/** Sentence of a reason for people; an unknown code is named as such. */
export function reasonText(reason: number): string {
  return reasonTexts[reason] ?? `unknown reason ${reason}`;
}

export function roleText(role: number): string {
  return roleTexts[role] ?? `unknown role ${role}`;
}

const reasonTexts: readonly string[] = [
  "paid in proportion to how much it raised the answer's probability",
  "in context, but did not raise the answer's probability",
  "the context as a whole did not help: the fee goes to the model",
  "withheld: the contribution was retracted",
  "the share rounds to zero",
  "no eligible recipient",
  "retrieved, below the cut: not in context",
];
const roleTexts: readonly string[] = ["contributor", "Datanet owner", "validator", "model owner", "carried"];
