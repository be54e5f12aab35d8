// An IRC client with the library `irc-framework`. Arguments, input and output are those of bot.py.
'use strict';

const { Client } = require('irc-framework');

const channel = '#smol';
const [host, port, nick, password] = process.argv.slice(2);
const client = new Client();

function show(event, text) {
    const time = event.time ? new Date(event.time).toISOString().replace('T', ' ') : '';
    console.log(time, text);
}

client.on('registered', () => client.join(channel));
client.on('privmsg', (event) => show(event, `<${event.nick}> ${event.message}`));
client.on('action', (event) => show(event, `* ${event.nick} ${event.message}`));
client.on('nick', (event) => show(event, `${event.nick} is now known as ${event.new_nick}`));
client.on('join', (event) => show(event, `${event.nick} has joined`));
client.on('quit', (event) => show(event, `${event.nick} has quit`));
client.on('close', () => process.exit());
client.connect({ host, port: Number(port), nick, password, auto_reconnect: false });

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const [, command, text] = /^(\/\w+) (.*)$/.exec(line) ?? [];
    switch (command) {
    case '/me':
        client.action(channel, text);
        break;
    case '/msg':
        client.say(text.slice(0, text.indexOf(' ')), text.slice(text.indexOf(' ') + 1));
        break;
    case '/nick':
        client.changeNick(text);
        break;
    case '/quit':
        client.quit(text);
        break;
    default:
        client.say(channel, line);
    }
});
