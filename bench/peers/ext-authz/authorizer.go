package main

import (
	"context"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
)

type authorizer struct {
	facts      map[string]known
	judge      *judge
	credential string
}

// Check answers Envoy: allowed, with the credential in place of the caller's token and without the task; or 403. Whatever is not an allow
// is a no.
func (a *authorizer) Check(ctx context.Context, asked *auth.CheckRequest) (*auth.CheckResponse, error) {
	request := asked.GetAttributes().GetRequest().GetHttp()
	known, ok := a.facts[request.GetMethod()]
	if !ok {
		return denied("no tool"), nil
	}
	input, ok := known.input(request, claimsOf(asked))
	if !ok {
		return denied("no tool, no caller, or a body that cannot be read"), nil
	}
	decided, err := a.judge.decide(ctx, request.GetId(), input)
	if err != nil {
		return denied("not decided: " + err.Error()), nil
	}
	if decision, ok := decided.(map[string]any); !ok || decision["effect"] != "allow" {
		return denied("not allowed"), nil
	}
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers:         []*core.HeaderValueOption{a.lent()},
			HeadersToRemove: []string{"countersign-task"},
		}},
	}, nil
}

func (a *authorizer) lent() *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: "authorization", Value: a.credential},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// claimsOf gives the claims that jwt_authn verified; nil when it verified none.
func claimsOf(asked *auth.CheckRequest) *structpb.Struct {
	verified := asked.GetAttributes().GetMetadataContext().GetFilterMetadata()["envoy.filters.http.jwt_authn"]
	return verified.GetFields()["claims"].GetStructValue()
}

func denied(why string) *auth.CheckResponse {
	return &auth.CheckResponse{
		Status: &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &kind.HttpStatus{Code: kind.StatusCode_Forbidden},
			Body:   why,
		}},
	}
}
