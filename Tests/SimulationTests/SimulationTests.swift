import Glibc
import LogModel
import PipelineTesting
import Testing

/// The whole collector against everything that can go wrong at once, in virtual time. ARCHITECTURE.md, "What must stay true".
@Suite struct SimulationTests {
    /// 50, or as many as `LOGBOOM_SIMULATION_COUNT` says.
    private static let freshCount = getenv("LOGBOOM_SIMULATION_COUNT").flatMap { Int(String(cString: $0)) } ?? 50

    @Test(arguments: SeededGenerator.seeds(fixed: 200, fresh: freshCount, variable: "LOGBOOM_SIMULATION_SEED"))
    func `whatever fails, nothing durable is lost, nothing counts twice, and everything drains`(seed: UInt64) {
        let simulation = CollectorSimulation(seed: seed)
        let violations = simulation.run()
        if getenv("LOGBOOM_SIMULATION_SEED") != nil { print(simulation.coverage) }
        let command = "LOGBOOM_SIMULATION_SEED=\(seed) swift test --filter SimulationTests"
        #expect(violations.isEmpty, "\(command)")
    }

    /// Seeds that once showed a bug, each with a unit test of its own beside the code that was mended.
    @Test(arguments: [
        ("a batch decided at the sink while on its way into the spool was drained from there", 973_084_119 as UInt64),
        ("a damaged row came back after a power cut", 912_088_587),
        ("a flush was answered durable for rows without a sync", 11_640_058),
        ("a late request found its stream forgotten", 792_713_104),
    ])
    func `what a seed has found stays mended`(bug: String, seed: UInt64) {
        #expect(CollectorSimulation(seed: seed).run().isEmpty, "\(bug)")
    }

    @Test(arguments: Canary.allCases)
    func `a bug put in on purpose is found`(canary: Canary) {
        let found = (0..<100 as Range<UInt64>).contains { !CollectorSimulation(seed: $0, canary: canary).run().isEmpty }
        #expect(found, "\(canary) went unseen")
    }

    @Test func `one integer repeats a run`() {
        let first = CollectorSimulation(seed: 7)
        let second = CollectorSimulation(seed: 7)
        #expect(first.run() == second.run())
        #expect(first.coverage == second.coverage)
    }

    @Test func `the seeds reach what they are there for`() {
        var sum = CollectorSimulation.Coverage()
        for seed in 0..<40 as Range<UInt64> {
            let simulation = CollectorSimulation(seed: seed)
            _ = simulation.run()
            let met = simulation.coverage
            sum.kills += met.kills
            sum.powerCuts += met.powerCuts
            sum.stops += met.stops
            sum.deadLetters += met.deadLetters
            sum.timeouts += met.timeouts
            sum.refusals += met.refusals
            sum.spillFailures += met.spillFailures
            sum.lateArrivals += met.lateArrivals
            sum.durableAnswers += met.durableAnswers
        }
        #expect(sum.kills > 5 && sum.powerCuts > 5 && sum.stops > 5, "\(sum)")
        #expect(sum.deadLetters > 20 && sum.spillFailures > 20 && sum.lateArrivals > 20, "\(sum)")
        #expect(sum.timeouts > 0 && sum.refusals > 0, "\(sum)")
        #expect(sum.durableAnswers > 1000, "\(sum)")
    }
}
