package main

import (
	"context"
	"path"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// Workload Endpoint: every call carries the header, with exactly this value.
func (s *server) admit(ctx context.Context, method string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[path.Base(method)]++
	headers, _ := metadata.FromIncomingContext(ctx)
	if values := headers.Get("workload.spiffe.io"); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request")
	}
	if s.refusals != 0 {
		s.refusals--
		return status.Error(s.refusalCode, "refused as told")
	}
	return nil
}

func (s *server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := s.admit(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, request)
}

func (s *server) stream(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := s.admit(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(service, stream)
}

// Says how things stand, and again after every change, until the caller goes or the streams are ended.
func follow[T any](s *server, ctx context.Context, state func() (T, error), send func(T) error) error {
	s.count(1)
	defer s.count(-1)
	for {
		s.mu.Lock()
		said, err := state()
		changed, ended := s.changed, s.ended
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if err := send(said); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.endCode == codes.OK {
				return nil
			}
			return status.Error(s.endCode, "ended as told")
		case <-changed:
		}
	}
}

func (s *server) count(by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams += by
}

func (s *server) FetchX509SVID(_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer) error {
	return follow(s, stream.Context(), s.x509Response, stream.Send)
}

func (s *server) FetchX509Bundles(_ *workload.X509BundlesRequest, stream workload.SpiffeWorkloadAPI_FetchX509BundlesServer) error {
	return follow(s, stream.Context(), s.x509BundlesResponse, stream.Send)
}

func (s *server) FetchJWTBundles(_ *workload.JWTBundlesRequest, stream workload.SpiffeWorkloadAPI_FetchJWTBundlesServer) error {
	return follow(s, stream.Context(), s.jwtBundlesResponse, stream.Send)
}

func (s *server) FetchJWTSVID(_ context.Context, asked *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(asked.Audience) == 0 {
		return nil, status.Error(codes.InvalidArgument, "audience must be specified")
	}
	if asked.SpiffeId != "" {
		if _, err := spiffeid.FromString(asked.SpiffeId); err != nil {
			return nil, status.Error(codes.InvalidArgument, "invalid requested SPIFFE ID")
		}
	}
	said := &workload.JWTSVIDResponse{}
	for _, one := range s.entitled() {
		if asked.SpiffeId != "" && asked.SpiffeId != one.id.String() {
			continue
		}
		token, err := s.authorities[0].mintJWT(one.id, asked.Audience, s.jwtTTL, nil)
		if err != nil {
			return nil, err
		}
		said.Svids = append(said.Svids, &workload.JWTSVID{SpiffeId: one.id.String(), Svid: token, Hint: one.hint})
	}
	if len(said.Svids) == 0 {
		return nil, status.Error(codes.PermissionDenied, "no identity issued")
	}
	return said, nil
}

func (s *server) ValidateJWTSVID(_ context.Context, asked *workload.ValidateJWTSVIDRequest) (*workload.ValidateJWTSVIDResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.validateCalls++
	if asked.Audience == "" || asked.Svid == "" {
		return nil, status.Error(codes.InvalidArgument, "audience and svid must be specified")
	}
	source, err := s.jwtSource()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	svid, err := jwtsvid.ParseAndValidate(asked.Svid, source, []string{asked.Audience})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := structpb.NewStruct(svid.Claims)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &workload.ValidateJWTSVIDResponse{SpiffeId: svid.ID.String(), Claims: claims}, nil
}
