import { type Abi, type Hex, parseEventLogs } from "viem";
import { abis, type ContractName } from "#contracts/deploy";
import { indexedAbis } from "#schema/events";
import type { World } from "./world.ts";

export type IndexedName = keyof typeof indexedAbis;

/** Where each indexed contract stands, clones included. */
export async function placedContracts({
  client,
  deployment: { contracts },
}: World): Promise<{ name: IndexedName; address: Hex }[]> {
  const made = async (factory: "datanetDaoFactory" | "curveFactory") => {
    const logs = await client.getLogs({ address: contracts[factory], fromBlock: 0n });
    return parseEventLogs({ abi: abis[factory] as Abi, logs }).map(({ args }) => {
      const { dao, curve } = args as unknown as { dao?: Hex; curve?: Hex };
      return (dao ?? curve)!;
    });
  };
  const clones = {
    DatanetDao: await made("datanetDaoFactory"),
    ModelCurve: await made("curveFactory"),
    TributaryGovernor: [contracts.governor],
  };
  return (Object.keys(indexedAbis) as IndexedName[]).flatMap((name) => {
    const addresses = name in clones ? clones[name as keyof typeof clones] : [contracts[camelCase(name)]];
    return addresses.map((address) => ({ name, address }));
  });
}

function camelCase(name: IndexedName): ContractName {
  return (name[0]!.toLowerCase() + name.slice(1)) as ContractName;
}
