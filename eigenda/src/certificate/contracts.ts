import { type Address, bytesToHex, type Hex, keccak256, type PublicClient, parseAbi } from "viem";
import { g1ToAffineBytes } from "../curve/points.ts";
import { EigenDaError } from "../errors.ts";
import { quorumBytes } from "../header/header.ts";
import type { Certificate, StakeIndices } from "./certificate.ts";
import { encodeCertificateAbi } from "./certificate-abi.ts";

/** The calls made. Sources: Layr-Labs/eigenda contracts/src (integrations/cert, core) @ 61019b4e9f91. */
export const eigenDaAbi = parseAbi([
  "function getAddress(string name) view returns (address)",
  "function getCertVerifierAt(uint32 referenceBlockNumber) view returns (address)",
  "function certVersion() view returns (uint8)",
  "function checkDACert(bytes abiEncodedCert) view returns (uint8)",
  "function relayKeyToUrl(uint32 key) view returns (string)",
  "struct CheckSignaturesIndices { uint32[] nonSignerQuorumBitmapIndices; uint32[] quorumApkIndices; uint32[] totalStakeIndices; uint32[][] nonSignerStakeIndices; }",
  "function getCheckSignaturesIndices(address registryCoordinator, uint32 referenceBlockNumber, bytes quorumNumbers, bytes32[] nonSignerOperatorIds) view returns (CheckSignaturesIndices)",
]);

/** Contracts by the names that EigenDA's directory gives them. */
export type ContractName =
  | "CERT_VERIFIER_ROUTER"
  | "RELAY_REGISTRY"
  | "PAYMENT_VAULT"
  | "REGISTRY_COORDINATOR"
  | "OPERATOR_STATE_RETRIEVER";

export type Network = { chainId: bigint; disperserUrl: string; directory: Address };

/** EigenDA's networks, as of the commit above; never dialled by this package's tests. Source: api/proxy/common/eigenda_network.go. */
export const networks: Record<"mainnet" | "sepolia" | "hoodi", Network> = {
  mainnet: {
    chainId: 1n,
    disperserUrl: "https://disperser.eigenda.xyz",
    directory: "0x64AB2e9A86FA2E183CB6f01B2D4050c1c2dFAad4",
  },
  sepolia: {
    chainId: 11_155_111n,
    disperserUrl: "https://disperser-testnet-sepolia.eigenda.xyz",
    directory: "0x9620dC4B3564198554e4D2b06dEFB7A369D90257",
  },
  hoodi: {
    chainId: 560_048n,
    disperserUrl: "https://disperser-testnet-hoodi.eigenda.xyz",
    directory: "0x5a44e56e88abcf610c68340c6814ae7f5c4369fd",
  },
};

/** `checkDACert`'s answers; all others are bugs or of versions before 3. */
const statusCodes = { success: 1, invalid: 6, internal: 7 };

/** @throws EigenDaError failover if the chain cannot be read, as all functions here. */
export function contractAddress(
  client: PublicClient,
  directory: Address,
  name: ContractName,
): Promise<Address> {
  return read(() =>
    client.readContract({ address: directory, abi: eigenDaAbi, functionName: "getAddress", args: [name] }),
  );
}

/** For `RelayClient`: where a relay is, by the registry; null if it names none. @throws EigenDaError invalid for a URL that is not https. */
export function registryRelayUrl(
  client: PublicClient,
  registry: Address,
): (relayKey: number) => Promise<string | null> {
  return async (relayKey) => {
    const host = await read(() =>
      client.readContract({
        address: registry,
        abi: eigenDaAbi,
        functionName: "relayKeyToUrl",
        args: [relayKey],
      }),
    );
    if (host === "") return null;
    const url = host.includes("://") ? host : `https://${host}`;
    if (URL.canParse(url) && new URL(url).protocol === "https:") return url;
    throw new EigenDaError("invalid", `The registry names relay ${relayKey} without https://: ${host}.`);
  };
}

/** The certificate with the stake indices that `checkDACert` needs, as the registry says at the certificate's reference block. */
export async function withStakeIndices(
  client: PublicClient,
  contracts: { retriever: Address; registryCoordinator: Address },
  certificate: Certificate,
): Promise<Certificate> {
  const { referenceBlockNumber, nonSignerPubkeys, signedQuorumNumbers } = certificate;
  const stakeIndices: StakeIndices = await read(() =>
    client.readContract({
      address: contracts.retriever,
      abi: eigenDaAbi,
      functionName: "getCheckSignaturesIndices",
      args: [
        contracts.registryCoordinator,
        referenceBlockNumber,
        quorumBytes(signedQuorumNumbers),
        nonSignerPubkeys.map(operatorId),
      ],
      blockNumber: BigInt(referenceBlockNumber),
    }),
  );
  return { ...certificate, stakeIndices };
}

/** keccak256(x ‖ y) of an operator's G1 key. */
export function operatorId(pubkey: Certificate["sigma"]): Hex {
  return keccak256(g1ToAffineBytes(pubkey));
}

/**
 * Why the contracts refuse the certificate, or null if they accept it: the verifier in force at its reference block is asked by `checkDACert`, which checks the
 * stake behind the signature.
 * @throws EigenDaError notReady while the node has not passed the reference block (it would answer "invalid" for a good certificate); failover if the
 * node or the contract fails.
 */
export async function onChainFault(
  client: PublicClient,
  router: Address,
  certificate: Certificate,
): Promise<string | null> {
  const { referenceBlockNumber, version } = certificate;
  const head = await read(() => client.getBlockNumber({ cacheTime: 0 }));
  if (head <= BigInt(referenceBlockNumber)) {
    const blocks = `Node: ${head}. Reference: ${referenceBlockNumber}.`;
    throw new EigenDaError(
      "notReady",
      `The node has not passed the certificate's reference block. ${blocks}`,
    );
  }
  const address = await read(() =>
    client.readContract({
      address: router,
      abi: eigenDaAbi,
      functionName: "getCertVerifierAt",
      args: [referenceBlockNumber],
    }),
  );
  const verifier = { address, abi: eigenDaAbi } as const;
  const wanted = await read(() => client.readContract({ ...verifier, functionName: "certVersion" }));
  if (wanted !== version) return `The verifier takes V${wanted} certificates; this one is V${version}.`;
  const status = await read(() =>
    client.readContract({
      ...verifier,
      functionName: "checkDACert",
      args: [bytesToHex(encodeCertificateAbi(certificate))],
    }),
  );
  if (status === statusCodes.success) return null;
  if (status === statusCodes.invalid) return "checkDACert refuses the certificate as invalid.";
  const hint = status === statusCodes.internal ? "internal error" : `status ${status}`;
  throw new EigenDaError("failover", `checkDACert failed: ${hint}.`);
}

/** One read of the chain; whatever goes wrong may be another node's or another time's success. */
async function read<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    const text = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new EigenDaError("failover", `The chain cannot be read: ${text}`, { cause });
  }
}
