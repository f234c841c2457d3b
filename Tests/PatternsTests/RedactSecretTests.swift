import Patterns
import PipelineTesting
import Testing

/// No byte of a planted secret is left, wherever the line stands and whatever it is built of.
@Suite struct RedactSecretTests {
    private static func named(_ maker: inout SecretMaker) -> [PlantedSecret] {
        [
            PlantedSecret("login user=bob password=", maker.password(), " from 10.0.0.7", kept: "from 10.0.0.7"),
            PlantedSecret("passwd: ", maker.password(), kept: "passwd: "),
            PlantedSecret("Passphrase = ", maker.password(), "; retry", kept: "; retry"),
            PlantedSecret("{\"user\":\"bob\",\"password\":\"", maker.password(), "\",\"x\":1}", kept: "\",\"x\":1}"),
            PlantedSecret("{\"password\" : \"", "a\\\"b" + maker.password(), "\"}", kept: "\"}"),
            PlantedSecret("{\"token\":\"", maker.random(24), "\"}"),
            PlantedSecret(
                "body: {\\\"refresh_token\\\":\\\"",
                maker.random(40),
                "\\\",\\\"n\\\":2}",
                kept: "\\\"n\\\":2}"
            ),
            PlantedSecret("{'db_password': '", maker.password(), "', 'port': 5432}", kept: "'port': 5432}"),
            PlantedSecret(
                "params {\"user[password]\"=>\"",
                maker.password(),
                "\", \"commit\"=>\"Save\"}",
                kept: "Save"
            ),
            PlantedSecret("DB_PASS=", maker.password(), " started"),
            PlantedSecret("config dbPassword: '", "two words " + maker.password(), "' loaded", kept: "loaded"),
            PlantedSecret("MYSQL_ROOT_PASSWORD=", maker.password() + ",p)x", " and more", kept: "and more"),
            PlantedSecret("Server=db;Uid=sa;Pwd=", maker.password(), ";Encrypt=true", kept: ";Encrypt=true"),
            PlantedSecret("api_key=", maker.random(20), "&page=2", kept: "&page=2"),
            PlantedSecret("X-Api-Key: ", maker.random(32)),
            PlantedSecret("using apiKey \"apiKey\": \"", maker.random(32), "\"", kept: "using apiKey"),
            PlantedSecret("GET /x?access_token=", maker.random(30), "&v=1 HTTP/1.1", kept: "&v=1 HTTP/1.1"),
            PlantedSecret("client_secret=", maker.random(32), ", grant_type=code", kept: "grant_type=code"),
            PlantedSecret("client-secret: ", maker.random(18)),
            PlantedSecret("AWS_SECRET_ACCESS_KEY=", maker.random(40, of: SecretMaker.base62 + ["/", "+"])),
            PlantedSecret(
                "AccountName=x;AccountKey=",
                maker.random(86) + "==",
                ";EndpointSuffix=y",
                kept: "EndpointSuffix"
            ),
            PlantedSecret("Authorization: Bearer ", maker.random(9), kept: "Authorization: Bearer "),
            // What looks like the first value is the name of the next one.
            PlantedSecret("Authorization: Bearer  db_password: \"", maker.password(), "\" v1", kept: "\" v1"),
            PlantedSecret("password: token: ", maker.random(24), " v1", kept: " v1"),
            PlantedSecret("authorization=Basic ", maker.random(16) + "=", " ok", kept: "authorization=Basic "),
            PlantedSecret(
                "curl -H 'Authorization: token ",
                maker.random(24),
                "' https://example.org/",
                kept: "https://example.org/"
            ),
            PlantedSecret("Proxy-Authorization: Negotiate ", maker.random(60)),
            PlantedSecret(
                "Authorization: Digest username=\"bob\", realm=\"r\", nonce=\"n\", response=\"",
                maker.random(32, of: SecretMaker.hexadecimal),
                "\", qop=auth"
            ),
            PlantedSecret("auth rejected: qop=auth, response=\"", maker.random(32, of: SecretMaker.hexadecimal), "\""),
            PlantedSecret("headers map[Authorization:[Bearer ", maker.random(20), "] Accept:[*/*]]", kept: "Accept"),
            PlantedSecret("Cookie: theme=dark; sid=", maker.random(24), "; lang=de"),
            PlantedSecret("curl -H \"Cookie: sid=", maker.random(24), "\" http://nas/", kept: "http://nas/"),
            PlantedSecret("Set-Cookie: PHPSESSID=", maker.random(26), "; Path=/"),
            PlantedSecret("session_id=", "a1" + maker.random(22), " opened", kept: " opened"),
            PlantedSecret("JSESSIONID=", "A1" + maker.random(30, of: SecretMaker.base32)),
            PlantedSecret("network={ ssid=\"Home\" psk=\"", maker.password(), "\" }", kept: "ssid=\"Home\""),
            PlantedSecret("wpa_passphrase=", maker.password()),
            PlantedSecret("wifi_password: ", maker.password(), " (hidden network)", kept: "(hidden network)"),
            PlantedSecret("SSID \"Home\" key \"", maker.password(), "\" accepted", kept: "accepted"),
            PlantedSecret("connect ssid=Home, key=", maker.password(), ", channel=6", kept: "channel=6"),
            PlantedSecret(
                "\"network_key\": [",
                "1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6",
                "], \"pan_id\": 6754",
                kept: "pan_id"
            ),
            PlantedSecret("exec: backup --password ", maker.password(), " --host nas", kept: "--host nas"),
            PlantedSecret("exec: backup --api-key=", maker.random(16), " --host nas", kept: "--host nas"),
            PlantedSecret("exec: tool -password \"", "p w " + maker.password(), "\" -v", kept: "-v"),
            PlantedSecret("COMMAND=/usr/bin/mysql -uroot -p", maker.password(), " -e status", kept: "-e status"),
            PlantedSecret("COMMAND=/usr/bin/sshpass -p ", maker.password(), " ssh nas", kept: "ssh nas"),
            PlantedSecret("COMMAND=/usr/bin/curl -u bob:", maker.password(), " http://nas/", kept: "-u bob:"),
            PlantedSecret("openssl pkcs12 -passin pass:", maker.password(), " -in x.p12", kept: "-in x.p12"),
            PlantedSecret("CREATE USER 'bob'@'%' IDENTIFIED BY '", maker.password(), "'", kept: "CREATE USER 'bob'"),
            PlantedSecret("alter user bob identified with caching_sha2 by '", "it''s" + maker.password(), "';"),
            PlantedSecret(
                "CREATE ROLE bob LOGIN PASSWORD '",
                maker.password(),
                "' VALID UNTIL 'infinity'",
                kept: "VALID"
            ),
            PlantedSecret("SET PASSWORD FOR bob = PASSWORD('", maker.password(), "')"),
            PlantedSecret("<config><password>", maker.password(), "</password><port>1</port>", kept: "<port>1</port>"),
            PlantedSecret("password='", maker.password() + " cut before its end"),
            PlantedSecret("secret-token:", maker.random(20) + "%20x"),
            PlantedSecret("your otp: ", "4" + maker.random(5, of: SecretMaker.digits), " expires", kept: "expires"),
            PlantedSecret("token: Bearer ", maker.password(), " used", kept: "used"),
            PlantedSecret("b'password': b'", maker.password(), "'"),
            PlantedSecret(
                "kennwort geändert: Passwort=",
                "ü" + maker.password() + "ß",
                " für müller",
                kept: "für müller"
            ),
        ]
    }

    private static func shaped(_ maker: inout SecretMaker) -> [PlantedSecret] {
        let amex = grouped(maker.card(prefix: "37", count: 15), [4, 6, 5], by: " ")
        return [
            PlantedSecret("got ", maker.webToken(), ", verified", kept: "verified"),
            PlantedSecret("GET /ws?jwt_in_path=/", maker.webToken(), "/x HTTP/1.1", kept: "/x HTTP/1.1"),
            PlantedSecret("redirect to /cb%3D", maker.webToken()),
            PlantedSecret(
                "unsigned ",
                "eyJ" + "hbGciOiJub25lIn0" + "." + maker.random(24, of: SecretMaker.base64url) + "."
            ),
            PlantedSecret("cut ", "eyJ" + maker.random(33) + "." + maker.random(200, of: SecretMaker.base64url)),
            PlantedSecret("upstream said Bearer ", maker.password(10), " is unknown", kept: "is unknown"),
            PlantedSecret("h2 header: bearer ", maker.password(40)),
            PlantedSecret("sent Basic ", maker.random(14) + "w==", " to proxy", kept: "to proxy"),
            PlantedSecret(
                "caller ",
                "AK" + "IA" + maker.random(16, of: SecretMaker.base32),
                " denied",
                kept: " denied"
            ),
            PlantedSecret("backup-", "AS" + "IA" + maker.random(16, of: SecretMaker.base32), ".json"),
            PlantedSecret("maps ", "AI" + "za" + maker.random(35, of: SecretMaker.base64url)),
            PlantedSecret("git: ", "gh" + "p_" + maker.random(36), " expired", kept: " expired"),
            PlantedSecret("git: (", "gh" + "s_" + maker.random(36), ")"),
            PlantedSecret("git: ", "github" + "_pat_" + maker.random(22) + "_" + maker.random(59)),
            PlantedSecret("git: ", "gl" + "pat-" + "x1" + maker.random(18, of: SecretMaker.base64url), kept: "git: "),
            PlantedSecret("slack: ", "xo" + "xb-" + maker.random(12, of: SecretMaker.digits) + "-" + maker.random(24)),
            PlantedSecret("pay: ", "sk" + "_live_" + maker.random(24)),
            PlantedSecret("pay: ", "rk" + "_live_" + maker.random(24)),
            PlantedSecret("mail: ", "S" + "G." + maker.random(22) + "." + maker.random(43, of: SecretMaker.base64url)),
            PlantedSecret(
                "bot: ",
                maker.random(9, of: Array("123456789")) + ":A" + "A" + maker.random(33),
                kept: "bot: "
            ),
            PlantedSecret(
                "https://api.telegram.org/bot",
                "123456789:A" + "A" + maker.random(33),
                "/getMe",
                kept: "/getMe"
            ),
            PlantedSecret("npm: ", "np" + "m_" + maker.random(36)),
            PlantedSecret("token: ", "lb" + "t_" + maker.random(43)),
            PlantedSecret("shown to nobody ", "lb" + "t_" + maker.random(43)),
            PlantedSecret("twine: ", "py" + "pi-AgEIc" + maker.random(120, of: SecretMaker.base64url)),
            PlantedSecret("vault: ", "hv" + "s." + maker.random(90, of: SecretMaker.base64url)),
            PlantedSecret(
                "https://hooks.slack.com/services/",
                "T" + maker.random(8) + "/B" + maker.random(8) + "/" + maker.random(24)
            ),
            PlantedSecret(
                "key -----BEGIN RSA PRIVATE" + " KEY-----\n",
                maker.random(64) + "\n" + maker.random(64),
                "\n-----END RSA PRIVATE" + " KEY----- loaded",
                kept: " loaded"
            ),
            PlantedSecret("private_key=-----BEGIN PRIVATE" + " KEY-----\\n", maker.random(200)),
            PlantedSecret("{\"key\":\"-----BEGIN OPENSSH PRIVATE" + " KEY-----\\n", maker.random(100), "\\n-----END"),
            PlantedSecret(
                "dial postgres://logboom:",
                maker.password(),
                "@db.lan:5432/logs",
                kept: "postgres://logboom:"
            ),
            PlantedSecret("dial postgres://logboom:", "p@/" + maker.password(), "@db:5432/logs", kept: "@db:5432/logs"),
            PlantedSecret("redis://:", maker.password(), "@127.0.0.1:6379/0", kept: "@127.0.0.1:6379/0"),
            PlantedSecret(
                "clone https://",
                maker.random(40, of: SecretMaker.hexadecimal),
                "@example.org/x.git",
                kept: "x.git"
            ),
            PlantedSecret("mail from ", "bob.miller+pi@example.org", " refused", kept: "mail from <EMAIL> refused"),
            PlantedSecret("to=<", "müller@bücher.example", ">, relay=x", kept: "to=<<EMAIL>>, relay=x"),
            PlantedSecret("paid with ", maker.card(prefix: "4", count: 16), " ok", kept: " ok"),
            PlantedSecret("pan=", maker.card(prefix: "53", count: 16)),
            PlantedSecret(
                "card:",
                grouped(maker.card(prefix: "4", count: 16), [4, 4, 4, 4], by: " "),
                ", exp 12/29",
                kept: "exp 12/29"
            ),
            PlantedSecret("card ", grouped(maker.card(prefix: "6011", count: 16), [4, 4, 4, 4], by: "-")),
            PlantedSecret("card ", amex, "."),
            PlantedSecret("card ", maker.card(prefix: "36", count: 14)),
            PlantedSecret("card ", maker.card(prefix: "4", count: 13)),
            PlantedSecret("card ", maker.card(prefix: "62", count: 19)),
            PlantedSecret("IBAN ", maker.account(country: "DE", bank: "", count: 22), " booked", kept: " booked"),
            PlantedSecret(
                "to ",
                grouped(maker.account(country: "DE", bank: "", count: 22), Array(repeating: 4, count: 6), by: " ")
            ),
            PlantedSecret(
                "to ",
                grouped(maker.account(country: "GB", bank: "NWBK", count: 22), Array(repeating: 4, count: 6), by: " ")
            ),
            PlantedSecret(
                "to ",
                grouped(maker.account(country: "NL", bank: "ABNA", count: 18), Array(repeating: 4, count: 5), by: " ")
            ),
            PlantedSecret("to ", maker.account(country: "NO", bank: "", count: 15), ", done", kept: ", done"),
        ]
    }

    @Test func `no byte of a planted secret is left, at every distance from the beginning of the line`() {
        for seed in SeededGenerator.seeds(fixed: 1, fresh: 1) {
            var maker = SecretMaker(seed: seed)
            let corpus = Self.named(&maker) + Self.shaped(&maker)
            #expect(corpus.count >= 100)
            var redactor = Redactor()
            for planted in corpus {
                // The scan reads words of four, eight and sixteen bytes.
                for distance in 0..<17 {
                    let lead = distance == 0 ? "" : String(repeating: "~", count: distance - 1) + " "
                    let result = redactor.redacted(lead + planted.line)
                    #expect(!planted.isIn(result), "seed \(seed), distance \(distance): \(planted.line)\n\(result)")
                    #expect(
                        result.contains(planted.kept),
                        "seed \(seed), distance \(distance): \(planted.line)\n\(result)"
                    )
                    let again = redactor.redacted(result)
                    #expect(again == result, "seed \(seed): \(planted.line)")
                }
            }
        }
    }

    @Test func `a secret at the end of a line of any length is found`() {
        var maker = SecretMaker(seed: 7)
        var redactor = Redactor()
        let secrets = [
            maker.card(prefix: "4", count: 16), grouped(maker.card(prefix: "4", count: 16), [4, 4, 4, 4], by: " "),
            "gh" + "p_" + maker.random(36), "gl" + "pat-" + "x1" + maker.random(18), maker.webToken(),
            "AK" + "IA" + maker.random(16, of: SecretMaker.base32),
        ]
        for secret in secrets {
            for length in 0..<80 {
                let line = String(repeating: "=", count: length) + " " + secret
                let result = redactor.redacted(line)
                #expect(result.hasSuffix(" <REDACTED>"), "\(line)")
            }
        }
    }

    @Test func `a made-up user without a password in a URL goes, and so do tokens that are no handles`() {
        let made = "a8Kq2Zr7" + "Wm4Tx9Bv3Ly6"
        for line in [
            "https://\(made)@example.org/x", "token=\(made)", "token=Ab3{\(made)", "token=\(made.prefix(15))",
            "token=0123456789abcdef", "token=12345678", "access_token=78af589", "pass=abc123", "smtp_pass=78af589",
            "pass=Abc{def", "password=Token{78af589",
            "token=abcdefab", "\"token\":\"78af589\"",
        ] {
            var redactor = Redactor()
            let count = Array(line.utf8).withUnsafeBufferPointer { text in
                _ = redactor.redact(text)
                return redactor.redactionCount
            }
            #expect(count == 1, "\(line)")
        }
    }

    @Test func `equal secrets have equal marks under a key, other secrets and other keys have others`() {
        var redactor = Redactor(key: Array(0..<16))
        var other = Redactor(key: Array(1..<17))
        var long = Redactor(key: Array(0..<40))
        let first = redactor.redacted("password=hunter2 again password=\"hunter2\" not password=hunter3")
        let marks = first.split(separator: "<").dropFirst().map { $0.prefix(17) }
        #expect(marks.count == 3)
        #expect(marks[0] == marks[1] && marks[1] != marks[2])
        #expect(marks[0].hasPrefix("REDACTED:"))
        let others = [other.redacted("password=hunter2"), long.redacted("password=hunter2")]
        #expect(!others[0].contains(marks[0]) && !others[1].contains(marks[0]))
        let again = redactor.redacted(first)
        #expect(again == first)
        let count = redactor.redactionCount
        #expect(count == 3)
    }

    /// The expected values are those of an implementation that gives the paper's a129ca6149be45e5 (Appendix A).
    @Test func `the mark shows the low 32 bits of SipHash-2-4`() {
        var redactor = Redactor(key: Array(0..<16))
        #expect(redactor.redacted("password=hunter2") == "password=<REDACTED:206ba291>")
        let long = "a-password-of-more-than-eight-bytes"
        #expect(redactor.redacted("password=" + long) == "password=<REDACTED:100095df>")
    }

    @Test(arguments: [
        "psk=\"living room db_password: \"%\" x", "password=\"a b token=\"%\" x",
        "key: \"\\\"secret\\\": \\\"%\\\"\" x",
        "{\"password\":\"cut off {\"password\":\"%\"}",
    ])
    func `a value whose quote is never closed does not hide the next secret`(form: String) {
        let secret = ["q9Xv", "K2mT7wZ4"].joined()
        var redactor = Redactor()
        let result = redactor.redacted(form.replacing("%", with: secret))
        #expect(!result.contains(secret), "\(result)")
    }

    @Test func `names of secrets are known in every spelling, and their look-alikes are not`() {
        let redactor = Redactor()
        for key in [
            "password", "PASSWORD", "db_password", "user.password", "dbPassword", "db-pass", "DB_PASS", "token",
            "apiToken",
            "x-auth-token", "api_key", "apiKey", "API-KEY", "headers.authorization", "cookie", "set-cookie",
            "session_id",
            "config.wifi.psk", "client_secret", "secret", "aws_secret_access_key", "private_key", "pwd", "passphrase",
            "otp",
            "wpa_passphrase", "credentials", "SharedAccessKey", "refresh_token", "jwt",
        ] {
            let isSecret = redactor.isSecret(key)
            #expect(isSecret, "\(key)")
        }
        for key in [
            "", "p", "user", "bypass", "compass", "monkey", "key", "primary_key", "public_key", "tokens", "max_tokens",
            "token_type",
            "password_changed", "passwordless", "keyboard", "version", "connection", "auth", "author", "broken",
            "secretary",
            "cookies", "sessions", "mode", "port", "temperature", "signature", "response", "code", "path", "message",
        ] {
            let isSecret = redactor.isSecret(key)
            #expect(!isSecret, "\(key)")
        }
    }
}
