import Testing

@testable import Settings

/// Passwords: where they are found, and that they are never shown.
struct SecretTests {
    private static let password = "hunter2-do-not-show"

    private func load(
        environment: [String: String] = [:],
        text: String = "POSTGRES_HOST=db\n",
        readable: [String: String] = [:]
    ) -> Result<LoadedSettings, SettingsProblems> {
        SettingsLoader.load(
            SettingsLoader.Input(
                files: [file("a.conf", text)],
                environment: environment.merging(home) { given, _ in given },
                readFile: { path in
                    readable[path].map { .success(Array($0.utf8)) } ?? .failure(.missing)
                }
            )
        )
    }

    @Test func `the file goes before the credential, and the credential before the key`() {
        let readable = ["/pw": "from file\n", "/run/credentials/x/postgres-password": "from credential"]
        let credentials = ["CREDENTIALS_DIRECTORY": "/run/credentials/x"]
        let all = load(
            environment: credentials,
            text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=from key\nPOSTGRES_PASSWORD_FILE=/pw\n",
            readable: readable
        )
        #expect(all.settings?.postgres?.password?.reveal() == "from file")
        #expect(all.settings?.postgres?.passwordFile == "/pw")
        #expect(all.value(.postgresPassword)?.origin == .secretFile(path: "/pw"))
        #expect(all.warnings.count == 1)

        let two = load(
            environment: credentials,
            text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=from key\n",
            readable: readable
        )
        #expect(two.settings?.postgres?.password?.reveal() == "from credential")
        #expect(
            two.value(.postgresPassword)?.origin == .credential(path: "/run/credentials/x/postgres-password")
        )

        let one = load(environment: credentials, text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=from key\n")
        #expect(one.settings?.postgres?.password?.reveal() == "from key")
        #expect(one.settings?.postgres?.passwordFile == nil)
        #expect(one.value(.postgresPassword)?.origin == .file(name: "a.conf", line: 2))
    }

    @Test(arguments: [
        ("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"), (" blanks \n", " blanks "),
    ])
    func `a password file is its text without one line end`(pair: (content: String, password: String)) {
        let result = load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/pw", readable: ["/pw": pair.content])
        #expect(result.settings?.postgres?.password?.reveal() == pair.password)
    }

    @Test(arguments: [
        ("", "the file is empty"), ("\n", "the file is empty"), ("a\nb\n", "the file has more than one line"),
        ("a\0b", "the password holds a NUL byte"),
    ])
    func `a file that holds no password is an error`(pair: (content: String, part: String)) {
        let result = load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/pw", readable: ["/pw": pair.content])
        #expect(result.errors == ["a.conf:2: POSTGRES_PASSWORD_FILE: reading \"/pw\": \(pair.part)"])
    }

    @Test func `a password file that is missing is an error, a credential that is missing is none`() {
        #expect(
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/pw").errors == [
                "a.conf:2: POSTGRES_PASSWORD_FILE: reading \"/pw\": there is no such file"
            ]
        )
        #expect(load(environment: ["CREDENTIALS_DIRECTORY": "/c"]).settings?.postgres != nil)
    }

    @Test func `a password in the environment warns that a file is safer`() {
        let result = load(environment: ["POSTGRES_PASSWORD": Self.password])
        #expect(result.settings?.postgres?.password == Secret(Self.password))
        #expect(result.warnings.count == 1)
        #expect(result.warnings.first?.contains("POSTGRES_PASSWORD_FILE or a systemd credential is safer") == true)
    }

    @Test func `a secret is in no description, dump or mirror of anything`() {
        let results = [
            load(environment: ["POSTGRES_PASSWORD": Self.password]),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=\(Self.password)\n"),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/pw\n", readable: ["/pw": Self.password]),
            load(text: "POSTGRES_HOST=db\nBATCH_SIZE=x\nPOSTGRES_PASSWORD=\(Self.password)\n"),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD='\(Self.password)\n"),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD \(Self.password)\n"),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD=\(Self.password)\(String(repeating: "x", count: 1000))\n"),
            load(text: "ANALYTICS_NODE_URL=http://u:\(Self.password)@node\n"),
            load(text: "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/pw\n", readable: ["/pw": Self.password + "\n\nmore"]),
        ]
        for result in results {
            var dumped = ""
            dump(result, to: &dumped)
            for shown in [dumped, "\(result)", String(reflecting: result)] + result.errors + result.warnings {
                #expect(!shown.contains(Self.password))
                #expect(!shown.contains("hunter2"))
            }
        }
        #expect("\(Secret(Self.password))" == "(set)")
        #expect(Mirror(reflecting: Secret(Self.password)).children.isEmpty)
        #expect(results[0].value(.postgresPassword)?.text == "(set)")
    }
}
