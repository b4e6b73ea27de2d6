// Lease browsers from a Berth broker. What is exported is described in index.d.ts.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const PROTO = fileURLToPath(new URL('proto', import.meta.url));
const FILES = ['types', 'lease', 'fetch', 'page', 'admin'].map((name) => `berth/v1/${name}.proto`);
const USUAL = 'http://127.0.0.1:50051';
const OPTIONS = {
  // A quiet connection is asked every 20 s whether it still is one.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Bodies and pictures are larger than the 4 MiB that gRPC takes by default.
  'grpc.max_receive_message_length': 300 * 1024 * 1024,
};
// How long the broker may take to confirm a release.
const RELEASE = 5_000;

const definition = loader.loadSync(FILES, {
  includeDirs: [PROTO],
  defaults: true,
  enums: String,
  longs: Number,
  oneofs: true,
});
export const { v1 } = grpc.loadPackageDefinition(definition).berth;

// The parts of google/rpc/status.proto and error_details.proto that refusals are told with.
const rpc = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message RetryInfo { Duration retry_delay = 1; }
`).root;

export class BerthError extends Error {
  constructor(error) {
    const told = { reason: '', metadata: {}, retryAfter: undefined };
    const [status] = error.metadata?.get('grpc-status-details-bin') ?? [];
    for (const detail of status ? rpc.lookupType('Status').decode(status).details : []) {
      const kind = detail.typeUrl.split('.').pop();
      if (kind === 'ErrorInfo') {
        const { reason, metadata } = rpc.lookupType('ErrorInfo').decode(detail.value);
        Object.assign(told, { reason, metadata });
      } else if (kind === 'RetryInfo') {
        const { seconds, nanos } = rpc.lookupType('RetryInfo').decode(detail.value).retryDelay;
        told.retryAfter = Number(seconds) * 1000 + nanos / 1e6;
      }
    }
    const nobody = error.code === grpc.status.UNAVAILABLE && !told.reason;
    const hint = nobody ? '; is `berth serve` running there?' : '';
    const word = told.reason || grpc.status[error.code];
    super(`${error.details}${hint} (${word})`, { cause: error });
    this.name = 'BerthError';
    this.code = error.code;
    Object.assign(this, told);
  }
}

const variable = (name) => process.env[name] || undefined;
const file = (name) => variable(name) && readFileSync(variable(name));

function bearer(token) {
  return (options, next) =>
    new grpc.InterceptingCall(next(options), {
      start(metadata, listener, start) {
        metadata.set('authorization', `Bearer ${token}`);
        start(metadata, listener);
      },
    });
}

export function connect({ endpoint, token } = {}) {
  const given = endpoint ?? variable('BERTH_ENDPOINT') ?? USUAL;
  const [, scheme, target] = /^(https?):\/\/(.+?)\/?$/.exec(given) ?? [];
  if (!target) throw new TypeError(`${JSON.stringify(given)} is no endpoint: wanted such as ${USUAL}`);
  const secret = (token ?? file('BERTH_TOKEN_FILE')?.toString() ?? variable('BERTH_TOKEN') ?? '').trim();
  const credentials =
    scheme === 'https'
      ? grpc.credentials.createSsl(file('BERTH_CA_FILE'), file('BERTH_KEY'), file('BERTH_CERT'))
      : grpc.credentials.createInsecure();
  const options = { ...OPTIONS, interceptors: secret ? [bearer(secret)] : [] };
  const leases = new v1.LeaseService(target, credentials, options);
  const shared = { ...options, channelOverride: leases.getChannel() };
  const stub = (Service) => new Service(target, credentials, shared);
  return {
    leases,
    fetches: stub(v1.FetchService),
    pages: stub(v1.PageService),
    admin: stub(v1.AdminService),
    close: () => leases.close(),
  };
}

export function unary(stub, method, request, { timeout = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const answer = (error, response) => (error ? reject(new BerthError(error)) : resolve(response));
    stub[method](request, { deadline: Date.now() + timeout }, answer);
  });
}

export async function fetch(request, options = {}) {
  const broker = connect(options);
  try {
    return await unary(broker.fetches, 'Fetch', typeof request === 'string' ? { url: request } : request, options);
  } finally {
    broker.close();
  }
}

const duration = (millis) =>
  millis === undefined ? undefined : { seconds: Math.floor(millis / 1000), nanos: (millis % 1000) * 1e6 };

class Lease {
  #stream;
  #broker;

  constructor(granted, stream, broker) {
    this.#stream = stream;
    this.#broker = broker;
    this.granted = granted;
    this.id = granted.id;
    this.cdpUrl = granted.cdpUrl;
    this.cdpHttpUrl = granted.cdpHttpUrl;
    this.endReason = '';
    this.ended = new Promise((resolve) => {
      stream.on('data', ({ ended }) => {
        if (ended) this.endReason = ended.reason.replace('END_REASON_', '');
      });
      // The connection may break: the broker then ends the lease by itself.
      stream.on('error', () => {});
      stream.on('close', resolve);
      stream.on('end', resolve);
    }).then(() => this.endReason);
  }

  async release() {
    if (!this.#stream.writableEnded) {
      this.#stream.write({ release: {} });
      this.#stream.end();
    }
    const late = setTimeout(() => this.#stream.cancel(), RELEASE);
    await this.ended;
    clearTimeout(late);
    this.#broker.close();
    return this.endReason;
  }
}
if (Symbol.asyncDispose) Lease.prototype[Symbol.asyncDispose] = Lease.prototype.release;

function hold(broker, acquire, onQueued) {
  return new Promise((resolve, reject) => {
    const stream = broker.leases.Hold();
    stream.on('error', (error) => reject(new BerthError(error)));
    stream.on('end', () => reject(new Error('the broker ended the call without a lease')));
    stream.on('data', ({ granted, queued }) => {
      if (queued) onQueued?.(queued.position);
      if (granted) resolve(new Lease(granted.lease, stream, broker));
    });
    stream.write({ acquire });
  });
}

export async function lease(options = {}) {
  const { wait = 300_000, maxLifetime, idleTimeout, labels, browser, onQueued } = options;
  const broker = connect(options);
  const until = Date.now() + wait;
  for (;;) {
    const acquire = {
      wait: duration(Math.max(until - Date.now(), 0)),
      maxLifetime: duration(maxLifetime),
      idleTimeout: duration(idleTimeout),
      labels,
      browser,
    };
    try {
      return await hold(broker, acquire, onQueued);
    } catch (error) {
      const again = error.code === grpc.status.RESOURCE_EXHAUSTED ? error.retryAfter : undefined;
      if (again === undefined || Date.now() + again >= until) {
        broker.close();
        throw error;
      }
      await sleep(again);
    }
  }
}

export async function withLease(work, options = {}) {
  const held = await lease(options);
  try {
    return await work(held);
  } finally {
    await held.release();
  }
}
