import type { Client } from '@grpc/grpc-js';

/** Where the broker is and who calls. What is not given comes from the variables of the command `berth`:
 * BERTH_ENDPOINT, BERTH_TOKEN or BERTH_TOKEN_FILE, BERTH_CA_FILE, BERTH_CERT and BERTH_KEY. */
export interface Connection {
  /** Default: `http://127.0.0.1:50051`; `https://` for TLS. */
  endpoint?: string;
  token?: string;
}

export interface LeaseOptions extends Connection {
  /** How long to wait for a browser at most, in milliseconds. A refusal that says when to come back, as
   * POOL_EXHAUSTED does, is obeyed within it. Default: 300000. */
  wait?: number;
  /** How long the lease lives at most, in milliseconds. Default: the server's, 1 hour. */
  maxLifetime?: number;
  /** How long the lease lives without traffic, in milliseconds. Default: without limit. */
  idleTimeout?: number;
  /** What operators see. */
  labels?: Record<string, string>;
  /** What the browser is started with: a `berth.v1.BrowserOptions`. */
  browser?: object;
  /** Is called with the place in the queue, whenever that changes. */
  onQueued?: (position: number) => void;
}

/** A browser that is nobody else's, held by a stream: there is nothing to renew, and should this process die,
 * the browser is back at once. */
export interface Lease {
  readonly id: string;
  /** Where Puppeteer (`browserWSEndpoint`) and Playwright (`connectOverCDP`) attach. */
  readonly cdpUrl: string;
  /** The same for clients that look for `/json/version`. */
  readonly cdpHttpUrl: string;
  /** The whole `berth.v1.Lease`. */
  readonly granted: object;
  /** How it ended, such as `RELEASED` or `BROWSER_CRASHED`; empty while it lives. */
  readonly endReason: string;
  /** Resolves when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Gives the browser back and waits until the broker has said so, at most 5 s. */
  release(): Promise<string>;
  /** `await using` does the same, where the runtime has it. */
  [Symbol.asyncDispose]?(): Promise<string>;
}

/** A call was refused, or the broker cannot be reached. */
export class BerthError extends Error {
  /** The gRPC code. */
  readonly code: number;
  /** The broker's stable word, such as `POOL_EXHAUSTED`; empty when it was not the broker that said no. */
  readonly reason: string;
  /** What the broker says about the reason. */
  readonly metadata: Record<string, string>;
  /** Milliseconds after which it may be tried again; `undefined` where that does not help. */
  readonly retryAfter?: number;
}

/** Leases a browser. Rejects with a BerthError. */
export function lease(options?: LeaseOptions): Promise<Lease>;

/** Leases a browser for as long as `work` runs, and gives it back however that ends. */
export function withLease<T>(work: (lease: Lease) => Promise<T>, options?: LeaseOptions): Promise<T>;

/** Fetches a page: a URL, or a `berth.v1.FetchRequest`. Resolves with a `berth.v1.FetchResponse`. */
export function fetch(request: string | object, options?: Connection & { timeout?: number }): Promise<any>;

/** The generated clients of all services, on one connection with the same credentials. */
export function connect(options?: Connection): {
  leases: Client;
  fetches: Client;
  pages: Client;
  admin: Client;
  close(): void;
};

/** Calls a unary method of a generated client; `timeout` is in milliseconds, 60000 by default. */
export function unary(stub: Client, method: string, request: object, options?: { timeout?: number }): Promise<any>;

/** The generated services themselves. */
export const v1: Record<string, any>;
