#!/usr/bin/env python3
# usage: subscriber.py ADDRESS SERVER-KEY KEY-FILE [TOPIC]    as `postern subscriber create` printed them
import sys
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.curve_serverkey = sys.argv[2].encode()
socket.curve_publickey, socket.curve_secretkey = open(sys.argv[3], "rb").read().split()
socket.subscribe(sys.argv[4] if len(sys.argv) > 4 else "event.")
socket.connect(sys.argv[1])
while True:
    topic, event, text = socket.recv_multipart()  # event: a PublicEvent of proto/public.proto
    print(text.decode(), flush=True)
