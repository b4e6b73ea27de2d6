#!/usr/bin/env bash
# Generates the stubs and builds the program with Debian's Go and its packages: build.sh OUTPUT
#
#   apt-get install golang-go golang-google-grpc-dev golang-github-golang-protobuf-1-5-dev \
#     protobuf-compiler libprotobuf-dev protoc-gen-go protoc-gen-go-grpc
#
# With modules it is `go get google.golang.org/grpc` and the same protoc line.
set -euo pipefail
output=$(realpath -m "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/example.com/title"

protos=(berth/v1/{types,lease,fetch,page}.proto)
mapped=("${protos[@]/%/=example.com/berthv1}")
protoc -I ../../../proto --go_out="$work/src" --go-grpc_out="$work/src" \
  "${mapped[@]/#/--go_opt=M}" "${mapped[@]/#/--go-grpc_opt=M}" "${protos[@]}"

cp main.go "$work/src/example.com/title"
export GO111MODULE=off GOPATH=$work:/usr/share/gocode GOFLAGS=-p=2
go vet example.com/title
go build -o "$output" example.com/title
