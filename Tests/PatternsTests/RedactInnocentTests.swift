import Patterns
import PipelineTesting
import Testing

/// What is no secret comes out byte for byte, in the sender's own memory.
@Suite struct RedactInnocentTests {
    static let lines: [String] = [
        "", " ", "-", "=", ":", "password", "password=", "password:", "Password: ", "token", "\"password\"",
        "--password",
        "Failed password for root from 10.0.0.7 port 22 ssh2",
        "Failed password for invalid user admin from 10.0.0.7 port 4711 ssh2",
        "Accepted publickey for pi from 10.0.0.7 port 51234 ssh2: ED25519 SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8",
        "password changed for pi", "token expired", "invalid token, please log in again", "secret not found in vault",
        "passwd: password changed for pi", "pam_unix(passwd:chauthtok): password changed for pi",
        "pam_unix(sudo:auth): authentication failure; logname=pi uid=1000 euid=0 tty=/dev/pts/0 ruser=pi rhost= user=pi",
        "pam_unix(sshd:session): session opened for user pi(uid=1000) by (uid=0)",
        "pi : TTY=pts/0 ; PWD=/home/pi ; USER=root ; COMMAND=/usr/bin/ls",
        "[sudo] password for pi: ", "password authentication failed for user \"postgres\"",
        "password: must be at least 8 characters", "Password: incorrect", "error: password: is required",
        "password=********", "password=\"***\"", "password=[FILTERED]", "password=<REDACTED>",
        "password=${DB_PASSWORD} ok",
        "{\"password\":null,\"token\":\"\",\"secret\":false}", "use_password=1", "--password must not be given twice",
        "Unexpected token: IDENT at line 3", "SyntaxError: Unexpected token } in JSON at position 17",
        "max_tokens=4096 total_tokens: 812 token_type=bearer", "pagination tokens=12",
        "bypass=true compass: 270 monkey=george turkey: baked keyboard=us",
        "primary_key=42 foreign_key: user_id cache_key=abc",
        "hotkey: ctrl+c key=value key: 7", "author=bob authority=ca broken: yes spoken=de",
        "session: 12 opened", "session=c2 closed", "New session 4711 of user pi.", "auth: Error: connection refused",
        "smtp auth=PLAIN", "Authorization: required", "Basic authentication is disabled", "Bearer token expired",
        "WWW-Authenticate: Bearer realm=\"example\"", "WWW-Authenticate: Basic realm=\"nas\", charset=\"UTF-8\"",
        "Basic HTTP/1.1 checks passed", "Loading private key: /etc/ssl/private/nas.pem",
        "response=200 code=404 pass: 12 fail: 3x",
        "commit 9f4ef63c0ffee1234567890abcdef1234567890ab merged",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "request 550e8400-e29b-41d4-a716-446655440000 done",
        "epoch 1700000000 1700000000123 1700000000123456 1700000000123456789",
        "mac aa:bb:cc:dd:ee:ff joined", "2026-03-01 12:00:00.123456 2026-03-01T12:00:00Z",
        "block blk_-1608999687919862906 blk_4000000000000002",
        "192.168.100.200:8080 fe80::1ff:fe23:4567:890a%eth0", "4000 4001 4002 4003 4004 4005 4006 4007",
        "0x4111111111111111 id-4111111111111111",
        "order 4111111111111112 is no card", "5555555555555555.4444 1111111111111111 4444444444444444",
        "serial 123456789012345678901234",
        "version 1234.5678.9012.3456", "4111111111111111-abc", "phone +49 30 1234 5678",
        "DE00370400440532013000 is no account",
        "XX89370400440532013000", "getty@tty1.service: Succeeded.", "user@1000.service wg-quick@wg0.service",
        "icon@2x.png lodash@4.17.21",
        "git@github.com:group/project.git", "pi@raspberrypi.local:/home/pi", "com.example.Bar@1a2b3c4d",
        "a@b @ @example.org bob@",
        "http://nas.lan:8080/path?x=1#y", "https://bob@example.org/x", "mqtt://broker.lan:1883",
        "jdbc:mysql://db:3306/logs?useSSL=false",
        "https://medium.com/@bob/post", "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
        "-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "----- BEGIN PRIVATE -----",
        "eyJ is how base64 of JSON begins",
        "org.apache.hadoop.mapreduce.v2.app.rm.RMContainerAllocator: assigned", "AKIA is a prefix, AKIAX too",
        "ghp_ and glpat- are prefixes",
        "sk-learn-something-else-entirely-long", "module glad-handed-everything", "Temperatur 21,5 °C im Wohnzimmer",
        "用户登录成功: 密码正确",
        "<password>", "usage: login <user> <password> [--token <token>]", "IDENTIFIED BY a badge",
        "said 'hello' by 'accident'",
        "docker run -p 8080:80 -u 1000:1000 nginx", "ls -la --color=auto -- file",
        "wlan0: associated with SSID \"Home\"",
        "Skipping AppWindow{df0798e token=Token{78af589 Activity{3b04890 u0 t761}}}",
        "opened wtoken = Window{9f4ef63 u0}",
        "released token=78af589 of window 3", "spark://sparkDriver@10.0.0.1:80",
        "akka.tcp://taskActorSystemOfDriver@node-07:55904",
        "ssh://backup-operators-team-12@nas.lan/srv",
        "key exchange: curve25519-sha256", "under-voltage detected! (0x00050005)", "a=b;c=d&e=f,g:h",
    ]

    @Test func `ordinary lines come out as they are, without a copy`() {
        #expect(Self.lines.count >= 100)
        var redactor = Redactor()
        for line in Self.lines {
            for distance in [0, 1, 2, 3, 5, 8, 13] {
                let bytes = Array((String(repeating: " ", count: distance) + line).utf8)
                bytes.withUnsafeBufferPointer { text in
                    let result = redactor.redact(text)
                    let isSame = result.baseAddress == text.baseAddress && result.count == text.count
                    #expect(isSame, "\(line)\n\(String(decoding: result, as: UTF8.self))")
                }
            }
        }
        let count = redactor.redactionCount
        #expect(count == 0)
    }
}
