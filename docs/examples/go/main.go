// Command title leases a browser, reads a page's title in it and gives the browser back: title [URL]
//
// The lease is held by a stream: nothing has to be renewed, and should this process die, the browser is back
// at once. The browser is driven over gRPC; a CDP client such as chromedp may attach to lease.CdpUrl beside
// that.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	pb "example.com/berthv1"
)

// How long a browser is waited for, refusals included.
const patience = time.Minute

// retryDelay tells after how long a call may be repeated that found every browser taken.
func retryDelay(err error) (time.Duration, bool) {
	refused, ok := status.FromError(err)
	if !ok || refused.Code() != codes.ResourceExhausted {
		return 0, false
	}
	for _, detail := range refused.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return retry.RetryDelay.AsDuration(), true
		}
	}
	return 0, false
}

// hold opens a stream and waits for the lease that it holds.
func hold(ctx context.Context, leases pb.LeaseServiceClient) (pb.LeaseService_HoldClient, *pb.Lease, error) {
	stream, err := leases.Hold(ctx)
	if err != nil {
		return nil, nil, err
	}
	acquire := &pb.AcquireRequest{Labels: map[string]string{"program": "title"}}
	if err := stream.Send(&pb.HoldRequest{Request: &pb.HoldRequest_Acquire{Acquire: acquire}}); err != nil {
		return nil, nil, err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if queued := event.GetQueued(); queued != nil {
			log.Printf("number %d in the queue", queued.Position)
		}
		if granted := event.GetGranted(); granted != nil {
			return stream, granted.Lease, nil
		}
	}
}

// patiently is hold, which comes back when it is told to while every browser is taken.
func patiently(ctx context.Context, leases pb.LeaseServiceClient) (pb.LeaseService_HoldClient, *pb.Lease, error) {
	until := time.Now().Add(patience)
	for {
		stream, lease, err := hold(ctx, leases)
		delay, again := retryDelay(err)
		if !again || time.Now().Add(delay).After(until) {
			return stream, lease, err
		}
		log.Printf("every browser is taken; again in %s", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// release gives the browser back and waits for the broker to say so.
func release(stream pb.LeaseService_HoldClient) error {
	request := &pb.HoldRequest{Request: &pb.HoldRequest_Release{Release: &pb.HoldRelease{}}}
	if err := stream.Send(request); err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		if ended := event.GetEnded(); ended != nil {
			log.Printf("the lease ended: %s", ended.Reason)
			return nil
		}
	}
}

func run(ctx context.Context, endpoint, url string) error {
	conn, err := grpc.Dial(strings.TrimPrefix(endpoint, "http://"),
		grpc.WithInsecure(), // credentials.NewTLS for a broker beyond loopback
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}))
	if err != nil {
		return err
	}
	defer conn.Close()

	// Whatever happens below, the end of the stream gives the browser back.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, lease, err := patiently(ctx, pb.NewLeaseServiceClient(conn))
	if err != nil {
		return err
	}

	pages := pb.NewPageServiceClient(conn)
	soon, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	navigate := &pb.NavigateRequest{Page: &pb.PageRef{LeaseId: lease.Id}, Url: url}
	gone, err := pages.Navigate(soon, navigate)
	if err != nil {
		return err
	}
	fmt.Println(gone.Result.Page.Title)
	return release(stream)
}

func main() {
	endpoint, url := os.Getenv("BERTH_ENDPOINT"), "https://example.com"
	if endpoint == "" {
		endpoint = "http://127.0.0.1:50051"
	}
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if err := run(context.Background(), endpoint, url); err != nil {
		log.Fatal(err)
	}
}
