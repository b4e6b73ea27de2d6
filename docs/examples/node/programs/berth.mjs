// What the programs beside this share: the stubs, made at run time of the protos, and how to read a refusal.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const proto = new URL('../proto', import.meta.url).pathname;
const definition = loader.loadSync('berth/v1/lease.proto', { includeDirs: [proto], keepCase: true });
const { LeaseService } = grpc.loadPackageDefinition(definition).berth.v1;

const endpoint = process.env.BERTH_ENDPOINT ?? 'http://127.0.0.1:50051';
// Pings, so that a cut network is noticed.
const pings = { 'grpc.keepalive_time_ms': 20_000, 'grpc.keepalive_timeout_ms': 10_000 };

export const leases = () =>
  new LeaseService(endpoint.replace('http://', ''), grpc.credentials.createInsecure(), pings);

// The parts of google.rpc that RetryInfo travels in.
const rpc = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Duration { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Duration retry_delay = 1; }
`).root;

/** Milliseconds after which a call may be repeated that found every browser taken; else undefined. */
export function retryDelay(error) {
  const [status] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (error.code !== grpc.status.RESOURCE_EXHAUSTED || !status) return undefined;
  const { details } = rpc.lookupType('Status').decode(status);
  const info = details.find(({ typeUrl }) => typeUrl.endsWith('/google.rpc.RetryInfo'));
  if (!info) return undefined;
  const { seconds, nanos } = rpc.lookupType('RetryInfo').decode(info.value).retryDelay;
  return Number(seconds) * 1000 + nanos / 1e6;
}
