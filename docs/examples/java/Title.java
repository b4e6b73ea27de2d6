import berth.v1.LeaseOuterClass.AcquireRequest;
import berth.v1.LeaseOuterClass.HoldRelease;
import berth.v1.LeaseOuterClass.HoldRequest;
import berth.v1.LeaseOuterClass.HoldResponse;
import berth.v1.LeaseOuterClass.Lease;
import berth.v1.LeaseServiceGrpc;
import berth.v1.PageOuterClass.NavigateRequest;
import berth.v1.PageOuterClass.PageRef;
import berth.v1.PageServiceGrpc;
import com.google.protobuf.Any;
import com.google.rpc.RetryInfo;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.protobuf.lite.ProtoLiteUtils;
import io.grpc.stub.StreamObserver;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * Leases a browser, reads a page's title in it and gives the browser back: Title [URL]
 *
 * <p>The lease is held by a stream: nothing has to be renewed, and should this process die, the browser is back
 * at once. The browser is driven over gRPC; a CDP client such as Playwright for Java may attach to
 * {@code lease.getCdpUrl()} beside that.
 */
public final class Title {
  /** How long a browser is waited for, refusals included. */
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private static final Metadata.Key<com.google.rpc.Status> DETAILS =
      Metadata.Key.of(
          "grpc-status-details-bin",
          ProtoLiteUtils.metadataMarshaller(com.google.rpc.Status.getDefaultInstance()));

  /** A stream with the lease that it holds. */
  private static final class Held implements StreamObserver<HoldResponse>, AutoCloseable {
    private final BlockingQueue<Object> events = new LinkedBlockingQueue<>();
    private final StreamObserver<HoldRequest> requests;
    private final Lease lease;

    Held(LeaseServiceGrpc.LeaseServiceStub leases) throws Exception {
      requests = leases.hold(this);
      AcquireRequest.Builder acquire = AcquireRequest.newBuilder().putLabels("program", "Title");
      requests.onNext(HoldRequest.newBuilder().setAcquire(acquire).build());
      HoldResponse event = next(PATIENCE);
      while (!event.hasGranted()) {
        System.err.printf("number %d in the queue%n", event.getQueued().getPosition());
        event = next(PATIENCE);
      }
      lease = event.getGranted().getLease();
    }

    private HoldResponse next(Duration within) throws Exception {
      Object event = events.poll(within.toMillis(), TimeUnit.MILLISECONDS);
      if (event instanceof HoldResponse) {
        return (HoldResponse) event;
      }
      throw event instanceof Exception ? (Exception) event : new IllegalStateException("no answer");
    }

    /** Gives the browser back and waits for the broker to say so. */
    @Override
    public void close() throws Exception {
      requests.onNext(HoldRequest.newBuilder().setRelease(HoldRelease.newBuilder()).build());
      HoldResponse event = next(Duration.ofSeconds(10));
      while (!event.hasEnded()) {
        event = next(Duration.ofSeconds(10));
      }
      System.err.println("the lease ended: " + event.getEnded().getReason());
      requests.onCompleted();
    }

    @Override
    public void onNext(HoldResponse event) {
      events.add(event);
    }

    @Override
    public void onError(Throwable error) {
      events.add(error);
    }

    @Override
    public void onCompleted() {
      events.add(new IllegalStateException("the broker ended the call"));
    }
  }

  /** After how long a call may be repeated that found every browser taken; null where that does not help. */
  private static Duration retryDelay(StatusRuntimeException refused) throws Exception {
    boolean taken = refused.getStatus().getCode() == io.grpc.Status.Code.RESOURCE_EXHAUSTED;
    Metadata trailers = refused.getTrailers();
    if (!taken || trailers == null || !trailers.containsKey(DETAILS)) {
      return null;
    }
    for (Any detail : trailers.get(DETAILS).getDetailsList()) {
      if (detail.is(RetryInfo.class)) {
        com.google.protobuf.Duration delay = detail.unpack(RetryInfo.class).getRetryDelay();
        return Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
      }
    }
    return null;
  }

  /** A lease; comes back when it is told to while every browser is taken. */
  private static Held hold(ManagedChannel channel) throws Exception {
    Instant until = Instant.now().plus(PATIENCE);
    while (true) {
      try {
        return new Held(LeaseServiceGrpc.newStub(channel));
      } catch (StatusRuntimeException refused) {
        Duration delay = retryDelay(refused);
        if (delay == null || Instant.now().plus(delay).isAfter(until)) {
          throw refused;
        }
        System.err.printf("every browser is taken; again in %d ms%n", delay.toMillis());
        Thread.sleep(delay.toMillis() + 1);
      }
    }
  }

  public static void main(String[] args) throws Exception {
    String url = args.length > 0 ? args[0] : "https://example.com";
    URI endpoint = URI.create(System.getenv().getOrDefault("BERTH_ENDPOINT", "http://127.0.0.1:50051"));
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(endpoint.getHost(), endpoint.getPort())
            .usePlaintext() // leave it out for a broker beyond loopback
            .keepAliveTime(20, TimeUnit.SECONDS)
            .keepAliveTimeout(10, TimeUnit.SECONDS)
            .build();
    try (Held held = hold(channel)) {
      PageRef page = PageRef.newBuilder().setLeaseId(held.lease.getId()).build();
      NavigateRequest navigate = NavigateRequest.newBuilder().setPage(page).setUrl(url).build();
      PageServiceGrpc.PageServiceBlockingStub pages = PageServiceGrpc.newBlockingStub(channel);
      System.out.println(
          pages.withDeadlineAfter(30, TimeUnit.SECONDS).navigate(navigate).getResult().getPage().getTitle());
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
