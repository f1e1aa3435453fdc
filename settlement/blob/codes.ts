/** Wire values of an entry's `role`. Roles 0 to 2 are about a passage, 5 to 7 about a training record of an adapter. */
export const roles = {
  contributor: 0,
  datanetOwner: 1,
  validator: 2,
  modelOwner: 3,
  carried: 4,
  recordContributor: 5,
  recordDatanetOwner: 6,
  recordValidator: 7,
  adapterOwner: 8,
} as const;

/** Roles of what is about one chunk, by how it moved the answer: as a passage, or as a record of the adapter. */
export const chunkRoles = {
  context: { contributor: roles.contributor, datanetOwner: roles.datanetOwner, validator: roles.validator },
  adapter: {
    contributor: roles.recordContributor,
    datanetOwner: roles.recordDatanetOwner,
    validator: roles.recordValidator,
  },
} as const;

/** Wire values of an entry's `reason`: 0 is paid, the others say why nothing was, or what was kept back. */
export const reasons = {
  paid: 0,
  noEffect: 1,
  contextDidNotHelp: 2,
  retracted: 3,
  roundsToZero: 4,
  noRecipient: 5,
  belowCut: 6,
  netted: 7,
  gated: 8,
  duplicate: 9,
  notNovel: 10,
  attenuated: 11,
  unlisted: 12,
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
  "did not raise the answer's probability, or not by more than noise",
  "the context as a whole did not help, or by no more than noise",
  "withheld: the contribution was retracted",
  "the share rounds to zero",
  "no eligible recipient",
  "retrieved, below the cut: not in context",
  "netted: over the epoch the owner's records also harmed this model's answers",
  "the record did not pass the gate: on the held-out questions it did harm",
  "duplicate of an earlier registered record, which is paid instead",
  "withheld: repeats earlier records in part",
  "attenuated by the contributor's reputation",
  "part of training records too small to be listed",
];
const roleTexts: readonly string[] = [
  "contributor",
  "Datanet owner",
  "validator",
  "model owner",
  "carried",
  "contributor of a training record",
  "Datanet owner of a training record",
  "validator of a training record",
  "adapter owner",
];
