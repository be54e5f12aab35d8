// A room on `ws`, the usual WebSocket library of Node: every message goes to every member.
'use strict';

const { WebSocketServer, WebSocket } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 4096 });

server.on('listening', () => {
  const { address, port } = server.address();
  console.log(`listening on ${address}:${port}`);
});

server.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.on('message', (data) => {
    for (const member of server.clients) {
      if (member.readyState === WebSocket.OPEN) {
        member.send(data, { binary: false });
      }
    }
  });
  // The load generator waits for this reply.
  socket.send('+');
});
