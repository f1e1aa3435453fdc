import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Turns } from "./turns.ts";

it("runs no more at a time than allowed, in the order they came, also after failures", async () => {
  const turns = new Turns({ runningMax: 3, waitingMax: 100 });
  const started: number[] = [];
  let [running, most] = [0, 0];
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      turns.run(async () => {
        started.push(index);
        most = Math.max(most, ++running);
        await sleep(index % 4);
        running--;
        if (index % 5 === 0) throw new Error(String(index));
        return index;
      }),
    ),
  );
  expect(most).toBe(3);
  expect(started).toEqual(Array.from({ length: 20 }, (_, index) => index));
  expect(results.filter(({ status }) => status === "rejected")).toHaveLength(4);
});

it("refuses who comes when too many wait, and lets go who leaves", async () => {
  const turns = new Turns({ runningMax: 1, waitingMax: 2 });
  const end = Promise.withResolvers<void>();
  const leave = new AbortController();
  const reason = new Error("left");
  const first = turns.run(() => end.promise);
  const second = turns.run(async () => "second", leave.signal);
  const third = turns.run(async () => "third");
  await expect(turns.run(async () => "fourth")).rejects.toMatchObject({ kind: "failover", retryable: true });
  leave.abort(reason);
  await expect(second).rejects.toBe(reason);
  const fifth = turns.run(async () => "fifth");
  end.resolve();
  await first;
  expect(await Promise.all([third, fifth])).toEqual(["third", "fifth"]);
  expect(await turns.run(async () => "sixth")).toBe("sixth");
  await expect(turns.run(async () => "never", leave.signal)).rejects.toBe(reason);
});
