/** Steps planned before their predecessors' results are known give the same tokens, whatever happens meanwhile. */
import { describe, expect } from 'bun:test';
import { InProcessEngine } from '../../src/engine/host/in-process.ts';
import type { LoadedModel } from '../../src/engine/load-model.ts';
import { createLocalEngine } from '../../src/engine/local-engine.ts';
import { StepPipeline } from '../../src/engine/step-pipeline.ts';
import type { GenerateRequest, SamplingParams, TokenEvent } from '../../src/engine/types.ts';
import { readGolden } from '../helpers/goldens.ts';
import { gpu, gpuTest } from '../helpers/gpu.ts';
import {
  fixtureFolder,
  generateAll,
  greedyParams,
  loadTestModel,
  newScheduler,
  request,
  TEST_CONFIG,
} from '../helpers/model.ts';
import { extras } from '../helpers/sampling-extras.ts';

const DEPTHS = [2, 3];
const model = gpu ? await loadTestModel(fixtureFolder('tiny-llama'), { blockSize: 8 }) : null;
const prompt = [...(readGolden('tiny-llama').prompts[0]?.ids ?? [])];

/** Prompt i of many that differ in length and contents but begin alike in pairs. */
function promptOf(i: number): number[] {
  return [...prompt.slice(0, 2 + ((i >> 1) % 12)), (i * 7) % 90, ...prompt.slice(0, i % 3)];
}

/** Requests of all kinds that can be planned ahead; every third is greedy. */
function mixture(count: number, maxTokens: number, more: Partial<SamplingParams> = {}): GenerateRequest[] {
  const kinds: Partial<SamplingParams>[] = [
    {},
    { temperature: 1 },
    { temperature: 0.8, topK: 20, minTokens: 6, ignoreEos: false },
    { temperature: 1.2, topP: 0.9, logitBias: [[5, 2]], bannedSequences: [[7]] },
    { temperature: 1, minP: 0.05, numLogprobs: 2 },
    { temperature: 1.1, ...extras({ xtcProbability: 0.5, xtcThreshold: 0.05, typicalP: 0.8 }) },
  ];
  return Array.from({ length: count }, (_, i) =>
    request(String(i), promptOf(i), greedyParams(maxTokens + (i % 5), { seed: [i, 1], ...kinds[i % 6], ...more })),
  );
}

type Options = Parameters<typeof generateAll>[2];

/** The tokens at depth 1; throws unless the others give the same. */
async function sameAtAllDepths(loaded: LoadedModel, requests: readonly GenerateRequest[], options: Options = {}) {
  const one = await generateAll(loaded, requests, options);
  for (const depth of DEPTHS) {
    const more = await generateAll(loaded, requests, options, depth);
    expect(more.tokens).toEqual(one.tokens);
  }
  return one;
}

/** Everything that requests are told. */
async function eventsOf(loaded: LoadedModel, requests: readonly GenerateRequest[], depth: number) {
  const scheduler = newScheduler(loaded);
  const pipeline = new StepPipeline(scheduler, loaded.runner, depth);
  const events = new Map<string, TokenEvent[]>();
  for (const each of requests) {
    scheduler.add(each);
    events.set(each.id, []);
  }
  while (pipeline.hasWork) {
    for (const { requestId, event } of (await pipeline.step())?.events ?? []) events.get(requestId)?.push(event);
  }
  return events;
}

function modelTest(name: string, run: (loaded: LoadedModel) => Promise<unknown>): void {
  gpuTest(name, async () => {
    if (model) await run(model);
  });
}

describe('steps in flight give the same tokens', () => {
  modelTest('alone', async (loaded) => {
    for (const each of mixture(6, 10)) await sameAtAllDepths(loaded, [each]);
  });

  modelTest('in a batch of 32, whole, in chunks and with cached prefixes', async (loaded) => {
    const requests = mixture(32, 8);
    const whole = await sameAtAllDepths(loaded, requests);
    const chunked = await sameAtAllDepths(loaded, requests, { maxNumBatchedTokens: 40, enablePrefixCaching: true });
    expect(chunked.tokens).toEqual(whole.tokens);
  });

  modelTest('when sequences are preempted', async (loaded) => {
    const requests = mixture(8, 20);
    const roomy = await generateAll(loaded, requests);
    for (const enablePrefixCaching of [false, true]) {
      const options = { maxModelLen: 64, numBlocks: 12, enablePrefixCaching };
      const cramped = await sameAtAllDepths(loaded, requests, options);
      expect(cramped.preemptions).toBeGreaterThan(0);
      expect(cramped.tokens).toEqual(roomy.tokens);
    }
  });

  modelTest('when the blocks of preempted sequences are saved in host memory', async (loaded) => {
    const { device } = loaded;
    const requests = mixture(8, 20);
    const roomy = await generateAll(loaded, requests);
    const copyOut = device.copyOut.bind(device);
    let numSaved = 0;
    device.copyOut = (ranges) => {
      numSaved++;
      return copyOut(ranges);
    };
    for (const [swapBlocks, maxNumBatchedTokens] of [
      [1000, 128],
      [1000, 9],
      [4, 128],
    ] as const) {
      numSaved = 0;
      const options = { maxModelLen: 64, numBlocks: 12, enablePrefixCaching: true, swapBlocks, maxNumBatchedTokens };
      const cramped = await sameAtAllDepths(loaded, requests, options);
      expect(cramped.tokens).toEqual(roomy.tokens);
      expect(numSaved).toBeGreaterThan(0);
    }
    device.copyOut = copyOut;
  });

  modelTest('when they stop at a token, and those beside them go on', async (loaded) => {
    const free = await generateAll(loaded, mixture(12, 16));
    const stops = mixture(12, 16).map((each, i) => {
      const tokens = free.tokens.get(each.id) ?? [];
      const stopTokenIds = [tokens[(i * 5) % 14] ?? 0];
      return { ...each, params: { ...each.params, stopTokenIds, minTokens: 0 } };
    });
    const stopped = await sameAtAllDepths(loaded, stops);
    const lengths = [...stopped.tokens.values()].map((tokens) => tokens.length);
    expect(Math.min(...lengths)).toBe(1);
    expect(new Set(lengths).size).toBeGreaterThan(4);
    const cramped = { maxModelLen: 64, numBlocks: 12, enablePrefixCaching: true, maxNumBatchedTokens: 24 };
    expect((await sameAtAllDepths(loaded, stops, cramped)).tokens).toEqual(stopped.tokens);
    // The end-of-sequence id stops as well.
    const eos = [free.tokens.get('0')?.[5] ?? 0];
    await sameAtAllDepths(loaded, mixture(12, 16, { ignoreEos: false, minTokens: 0 }), { eosTokenIds: eos });
  });

  modelTest('with penalties: the GPU counts the token that the host does not know', async (loaded) => {
    const penalties = { repetitionPenalty: 1.3, frequencyPenalty: 0.4, presencePenalty: -0.3 };
    const kinds: Partial<SamplingParams>[] = [
      { repetitionPenalty: 1.1 },
      { ...penalties, temperature: 1, numLogprobs: 2 },
      { ...penalties, logitBias: [[5, 2]], bannedSequences: [[7]], minTokens: 6, stopTokenIds: [11] },
      { frequencyPenalty: 1.9, temperature: 0.7, topK: 20, ...extras({ repeatLastN: 4 }) },
      { ...penalties, ...extras({ repeatLastN: 1 }), numLogprobs: 0 },
      { presencePenalty: 2, temperature: 1, topP: 0.9, allowedTokenIds: [1, 2, 3, 4, 5, 6, 7, 8, 9], numLogprobs: 1 },
    ];
    const penalised = kinds.map((params, i) =>
      request(`p${i}`, promptOf(i), greedyParams(30 + i, { seed: [i, 9], ...params })),
    );
    const everybody = [...penalised, ...mixture(4, 12)];
    const one = await eventsOf(loaded, everybody, 1);
    expect(one.get('p1')).toHaveLength(31);
    for (const depth of DEPTHS) expect(await eventsOf(loaded, everybody, depth)).toEqual(one);
    for (const each of penalised) {
      const alone = await eventsOf(loaded, [each], 2);
      expect(alone.get(each.id)?.map(({ tokenId }) => tokenId)).toEqual(
        one.get(each.id)?.map(({ tokenId }) => tokenId),
      );
    }
    const cramped = { maxModelLen: 64, numBlocks: 20, enablePrefixCaching: true };
    expect((await sameAtAllDepths(loaded, everybody, cramped)).preemptions).toBeGreaterThan(0);
  });

  modelTest('beside sequences that cannot be planned ahead', async (loaded) => {
    const followers = [
      { repetitionPenalty: 1.3 },
      { frequencyPenalty: 0.7, temperature: 1 },
      { bannedSequences: [[3, 4]], temperature: 1 },
      { temperature: 1, ...extras({ mirostat: { tau: 3, eta: 0.3 } }) },
    ].map((params, i) => request(`f${i}`, prompt.slice(0, 5), greedyParams(6, { seed: [i, 9], ...params })));
    await sameAtAllDepths(loaded, [...mixture(6, 12), ...followers]);
  });
});

gpuTest('with a head start for an idle GPU, on the kernels for GPUs', async () => {
  const loaded = await loadTestModel(fixtureFolder('tiny-llama'), { blockSize: 8 }, false);
  await sameAtAllDepths(loaded, mixture(2, 5));
  loaded.device.close();
});

modelTest('prompts that are scored wait for what is before them, and what is after waits for them', async (loaded) => {
  const scored = mixture(3, 5, { numPromptLogprobs: 1 }).map((each) => ({ ...each, id: `s${each.id}` }));
  const outputs = [];
  for (const depth of [1, ...DEPTHS]) {
    const scheduler = newScheduler(loaded, { maxNumBatchedTokens: 16 });
    const pipeline = new StepPipeline(scheduler, loaded.runner, depth);
    const events = new Map<string, unknown[]>();
    for (const each of [...mixture(3, 9), ...scored]) {
      scheduler.add(each);
      events.set(each.id, []);
      for (const { requestId, event } of (await pipeline.step())?.events ?? []) events.get(requestId)?.push(event);
    }
    while (pipeline.hasWork) {
      for (const { requestId, event } of (await pipeline.step())?.events ?? []) events.get(requestId)?.push(event);
    }
    outputs.push(events);
  }
  expect(outputs[0]?.get('s1')).toHaveLength(7);
  for (const output of outputs) expect(output).toEqual(outputs[0] as (typeof outputs)[0]);
});

modelTest('requests that come, are aborted and come again in flight disturb nobody', async (loaded) => {
  const requests = mixture(10, 14);
  const { tokens: wanted } = await generateAll(loaded, requests);
  for (const depth of [1, ...DEPTHS]) {
    const scheduler = newScheduler(loaded, { enablePrefixCaching: true, numBlocks: 40, maxModelLen: 64 });
    const pipeline = new StepPipeline(scheduler, loaded.runner, depth);
    const got = new Map(requests.map(({ id }) => [id, [] as number[]]));
    const arriving = [...requests];
    for (let i = 0; arriving.length > 0 || pipeline.hasWork; i++) {
      const next = arriving.shift();
      if (next) scheduler.add(next);
      // The third is given up after a while and asked again at once.
      if (i === 7) {
        scheduler.abort('2');
        got.set('2', []);
        scheduler.add(requests[2] as GenerateRequest);
      }
      const { events } = (await pipeline.step()) ?? { events: [] };
      for (const { requestId, event } of events) got.get(requestId)?.push(event.tokenId);
      scheduler.assertInvariants();
    }
    expect(got).toEqual(wanted);
    expect(scheduler.stats.numFreeBlocks).toBe(40);
  }
});

modelTest('a steady step at depth 2 makes no bind group, no pipeline and no buffer', async (loaded) => {
  const { device } = loaded;
  const scheduler = newScheduler(loaded);
  for (const each of mixture(6, 60)) scheduler.add(each);
  const pipeline = new StepPipeline(scheduler, loaded.runner, 2);
  const raw = device.opened.device;
  let numBuffers = 0;
  const createBuffer = raw.createBuffer.bind(raw);
  raw.createBuffer = (descriptor) => {
    numBuffers++;
    return createBuffer(descriptor);
  };
  const count = () => [...device.compiled].reduce((sum, kernel) => sum + 1 + kernel.numBindGroups, numBuffers);
  for (let i = 0; i < 6; i++) await pipeline.step();
  const before = count();
  const kernel = device.kernel.bind(device);
  let numLookups = 0;
  device.kernel = (source) => {
    numLookups++;
    return kernel(source);
  };
  for (let i = 0; i < 20; i++) expect((await pipeline.step())?.events.length).toBe(6);
  device.kernel = kernel;
  expect(count()).toBe(before);
  // The layers are played from a tape: only sampling is recorded anew.
  expect(numLookups).toBeLessThan(20 * 20);
  raw.createBuffer = createBuffer;
});

modelTest(
  'the whole engine with two steps in flight: streams, one that is left, and an end in the middle',
  async (loaded) => {
    const config = {
      ...TEST_CONFIG,
      blockSize: 8 as const,
      maxNumSeqs: 4,
      stepsInFlight: 2,
      preemptionMode: 'save' as const,
    };
    const engine = new InProcessEngine(() =>
      createLocalEngine({ modelFolder: fixtureFolder('tiny-llama'), config, extra: {} }, () => {}),
    );
    await engine.ready();
    const requests = mixture(4, 12);
    const { tokens: wanted } = await generateAll(loaded, requests);
    const received = await Promise.all(
      requests.map(async (each) => {
        const tokens: number[] = [];
        for await (const events of engine.generate(each)) {
          for (const { tokenId, finishReason } of events) {
            tokens.push(tokenId);
            if (tokens.length === 12 + (Number(each.id) % 5)) expect(finishReason).toBe('length');
          }
          if (each.id === '1' && tokens.length >= 3) break;
        }
        return tokens;
      }),
    );
    received.forEach((tokens, i) => {
      const all = wanted.get(String(i)) ?? [];
      expect(tokens).toEqual(i === 1 ? all.slice(0, tokens.length) : all);
    });
    const again = engine.generate(request('last', promptOf(0), greedyParams(50)));
    const { value } = await again.next();
    expect(value[0].start).toEqual({ queueMs: expect.any(Number), cachedTokens: 0 });
    expect(engine.stats().generationTokens).toBeGreaterThan(40);
    await engine.close();
  },
);

modelTest('as many steps are submitted ahead as may be, and none of a sequence that must wait', async (loaded) => {
  const submitted: number[] = [];
  const runner = {
    submit: (plan: Parameters<typeof loaded.runner.submit>[0]) => {
      submitted.push(plan.numTokens);
      return loaded.runner.submit(plan);
    },
  };
  const run = async (params: Partial<SamplingParams>, depth = 2) => {
    submitted.length = 0;
    const scheduler = newScheduler(loaded);
    scheduler.add(request('a', prompt.slice(0, 4), greedyParams(4, params)));
    const pipeline = new StepPipeline(scheduler, runner, depth);
    const lead: number[] = [];
    for (let done = 1; pipeline.hasWork; done++) {
      await pipeline.step();
      lead.push(submitted.length - done);
    }
    return lead;
  };
  expect(await run({})).toEqual([1, 1, 1, 0]);
  expect(await run({ bannedSequences: [[1, 2]] })).toEqual([0, 0, 0, 0]);
  expect(await run({ presencePenalty: 1 })).toEqual([1, 1, 1, 0]);
  expect(await run({ presencePenalty: 1 }, 3)).toEqual([1, 1, 1, 0]);
  expect(await run({}, 3)).toEqual([2, 2, 1, 0]);
});
