import Testing

/// The target graph of Package.swift against the table in Rules.swift.
@Suite(.timeLimit(.minutes(10)))
struct TargetGraphTests {
    let manifest: Manifest

    init() throws {
        manifest = try Manifest.current.get()
    }

    @Test func `every target uses only what its row in the table allows`() {
        for target in manifest.targets.values where target.kind != "test" {
            guard Rules.byTarget[target.name] != nil else { continue }
            for other in target.targets.union(target.products).sorted() {
                if let refusal = Rules.refusal(of: other, by: target.name) { Issue.record("\(refusal)") }
            }
        }
    }

    @Test(arguments: [
        ("Patterns", "Ports", "pure"), ("Delivery", "Glibc", "pure"), ("LogModel", "JSONBytes", "pure"),
        ("Pipeline", "PostgresSink", "through Ports only"), ("PostgresSink", "SQLiteClient", "replaced one at a time"),
        ("SQLiteSpool", "CSQLite", "in one place"), ("Pipeline", "NIOHTTP1", "one server and one client"),
        ("Logboomd", "Foundation", "resident pages"), ("HTTPServing", "Dispatch", "one kind of concurrency"),
        ("Settings", "Delivery", "points inward"),
    ])
    func `a forbidden arrow is refused with its reason`(from: String, to: String, reason: String) throws {
        let refusal = try #require(Rules.refusal(of: to, by: from))
        #expect(refusal.contains(reason), "\(refusal)")
    }

    @Test func `every target has a row, and no row names a target that is gone`() {
        let ours = Set(manifest.targets.values.filter { $0.kind != "test" }.map(\.name))
        let ruled = Set(Rules.byTarget.keys)
        for name in ours.subtracting(ruled).sorted() {
            Issue.record("\(name) has no row in Rules.swift: say what it may use, here and in ARCHITECTURE.md")
        }
        for name in ruled.subtracting(ours).sorted() {
            Issue.record("Rules.swift has a row for \(name), which Package.swift does not know")
        }
        for rule in Rules.all {
            for name in rule.targets.subtracting(ours).sorted() {
                Issue.record("\(rule.target)'s row allows \(name), which Package.swift does not know")
            }
        }
        for guest in Rules.guests {
            for name in guest.targets.subtracting(ours).sorted() {
                Issue.record("the rule on \(guest.module) names \(name), which Package.swift does not know")
            }
        }
    }

    @Test func `the table itself points inward only`() {
        for rule in Rules.all {
            for name in rule.targets.sorted() {
                guard let other = Rules.byTarget[name] else { continue }
                let message = "\(rule.target) (\(rule.layer)) is allowed \(name) (\(other.layer)): \(rule.layer.reason)"
                #expect(other.layer <= rule.layer, "\(message)")
                #expect(rule.layer != .core || other.layer == .core, "\(message)")
            }
        }
    }

    @Test func `nobody but a test depends on an executable`() {
        let programs = Set(manifest.targets.values.filter { $0.kind == "executable" }.map(\.name))
        for target in manifest.targets.values where target.kind != "test" {
            #expect(target.targets.isDisjoint(with: programs), "\(target.name) depends on a program")
        }
    }

    @Test func `no dependency goes in a circle`() {
        var finished: Set<String> = []
        func visit(_ name: String, _ trail: [String]) {
            if finished.contains(name) { return }
            if trail.contains(name) {
                Issue.record("a circle: \((trail + [name]).joined(separator: " -> "))")
                return
            }
            for other in manifest.targets[name]?.targets.sorted() ?? [] { visit(other, trail + [name]) }
            finished.insert(name)
        }
        for name in manifest.targets.keys.sorted() { visit(name, []) }
    }

    @Test func `every SQL step is embedded in the binary`() throws {
        let embedded = try #require(manifest.targets["Migrations"]).embedded
        let present = Set(Checkout.files(below: "Migrations", extensions: ["sql"]).map { $0.path.dropFirst(11) })
        for path in present.subtracting(embedded.map { $0[...] }).sorted() {
            Issue.record("Migrations/\(path) is not embedded, so it would never run: name it in Package.swift")
        }
        for path in Set(embedded.map { $0[...] }).subtracting(present).sorted() {
            Issue.record("Package.swift embeds Migrations/\(path), which is not there")
        }
    }
}
