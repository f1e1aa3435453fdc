import { hexToBytes } from "viem";
import { decompressG1, type G1 } from "../curve/points.ts";
import { invariant } from "../errors.ts";
import type { SrsAnchor } from "./srs.ts";

/** The ceremony behind every EigenDA network. Source of the points: Layr-Labs/eigenda resources/srs/srs.go @ 61019b4e9f91. */
export const mainnetSrsAnchor: SrsAnchor = { name: "EigenDA mainnet SRS", isForgeable: false, g1Reverse };

/** [τ^(2^28 − 2^k)]_1 for k = 0..27, compressed. */
const reversePoints = [
  "0xd902537c5ac68b39468f8cfcc46b00da353024b618b0454e6847d2aee530e850",
  "0xc672cec11e3d0c0096d550635d28c4b51dd3c2deb407a5985f458f5a8610fe94",
  "0xc2ee739ae261af377f3c65362049fef9402013bd898351eb60e0d7429a56f880",
  "0xd9d7adde8d4e55e87312fcb7713fdd1e8713358347d7c8bc1ac21fa1ef1db34a",
  "0x8f89ac9e77846d29af1c58af31cfc3fe61c45ca14cf0a10f7aa71605b868c0e7",
  "0xe3adc6dbd3cb5c694b17bdb974860d07222f9ffd75655d8800702f455ddffc97",
  "0xcb36c6a5486f20baf22e4ca283ee475b70447c35e16b749d710caa4bc7bf2ac9",
  "0x86aa256a555695131099bc873d2d23dd0f31d6fa9e0117f2dc913565380f8536",
  "0xac25b7bfc07913ee0aa062624b6c06f0218dcf1f03f232397761463d079be7fe",
  "0xa219ecf6ee97fe6b32ab434e3daff9ed6cbe8f467979ad1c6f39ee9dc660b212",
  "0x97840fcc4dd766fa0748bf2d50dd85242d4bb031fac39f8bb8f12d1146b0d443",
  "0x95b23343161483eed8834b7d595f5ac18b8c5dfe85d40538c83027a12b7e0ca6",
  "0x82e393213e64aef7726afb4ee823b58634087a47330ef6150c6e9e496a18cc5a",
  "0xe11a52ebf3628f51663a2fb41de1b755d28b764dde082521072531cf53bbb895",
  "0xc6318eb9dfa5f5627ceddde2f026af4e3ef79b7f1702f497b353437f57f188e4",
  "0xcfdc1c150ef291fa5eb1bdd2743815eebea02b4a89b3b0b1cc801269fb2502d6",
  "0x88723a42d3025fbb3beb27a75cf1266e37c59959a434ccabd04c332c888afc7c",
  "0xebc857866d0cbb6ce20c2abd612cb99d1d2f4446e5330255c77f69bcfc56c8be",
  "0xecc72a85bca27e6e6d9dcc73e15bd528b9bb1b4dc5b158e87d821571859820eb",
  "0x899e0d8eda7fcd5d0fcb7488574361663a7d05e920c11643101c1c996aad21b7",
  "0x87f814468e6e5b08526830fe3ce8fde7b5385f53e7654d3c061f5f602c5452b6",
  "0xa26d44f770db3207696477d61e7feedc3f0a83ea58f37b9ef914834fb32895b8",
  "0x90ec8f5ba15034bf2faa5b650606b7786e3c5c16201488c4411de3a40476874c",
  "0xad10e224d82572833b2854c327a5db10a0b6c617c367e3aff58f5862aab90a41",
  "0x8ccb85c07ad9092316ea6f95161e0a64ed7cca863f23bc22300225bf456d094a",
  "0xd20165a1b364337df11a35fb687aa62382236938f8f740cb7059b656e1f4dd1c",
  "0xa9d669092e951729fcc2eaf05ff706cf372e04cbde166f48833337fa37b69537",
  "0xeb34e5696bcd208899dbd9d1e7604ec39cc594eeedae3eaf40ff8695ab25ca72",
] as const;

function g1Reverse(length: number): G1 {
  const compressed = reversePoints[Math.log2(length)];
  invariant(compressed !== undefined, "the length is a power of two up to 2^27");
  const point = decompressG1(hexToBytes(compressed));
  invariant(point.ok, "the embedded points are on the curve");
  return point.value;
}
