// One door to the generated contract types.
export type { Attention } from "./bindings/Attention";
export type { CauseKind } from "./bindings/CauseKind";
export type { CauseView } from "./bindings/CauseView";
export type { ChangeSet } from "./bindings/ChangeSet";
export type { Evidence } from "./bindings/Evidence";
export type { FileTouched } from "./bindings/FileTouched";
export type { GitView } from "./bindings/GitView";
export type { Hidden } from "./bindings/Hidden";
export type { ImportProgress } from "./bindings/ImportProgress";
export type { CostSource } from "./bindings/CostSource";
export type { MessageView } from "./bindings/MessageView";
export type { Operation } from "./bindings/Operation";
export type { ResumeState } from "./bindings/ResumeState";
export type { RunDetail } from "./bindings/RunDetail";
export type { RunMember } from "./bindings/RunMember";
export type { RunPage } from "./bindings/RunPage";
export type { RunSummary } from "./bindings/RunSummary";
export type { Service } from "./bindings/Service";
export type { ServiceDetail } from "./bindings/ServiceDetail";
export type { ServiceMeasure } from "./bindings/ServiceMeasure";
export type { ServiceModel } from "./bindings/ServiceModel";
export type { ServiceSeries } from "./bindings/ServiceSeries";
export type { SessionCard } from "./bindings/SessionCard";
export type { SessionDetail } from "./bindings/SessionDetail";
export type { SessionPage } from "./bindings/SessionPage";
export type { SetupAgent } from "./bindings/SetupAgent";
export type { SetupAgentState } from "./bindings/SetupAgentState";
export type { SetupChange } from "./bindings/SetupChange";
export type { SetupChoices } from "./bindings/SetupChoices";
export type { SetupDone } from "./bindings/SetupDone";
export type { SetupOutcome } from "./bindings/SetupOutcome";
export type { SetupPlan } from "./bindings/SetupPlan";
export type { SetupState } from "./bindings/SetupState";
export type { SpanKind } from "./bindings/SpanKind";
export type { SpanView } from "./bindings/SpanView";
export type { SourceView } from "./bindings/SourceView";
export type { Status } from "./bindings/Status";
export type { StreamMessage } from "./bindings/StreamMessage";
export type { TokenTotals } from "./bindings/TokenTotals";
export type { Trace } from "./bindings/Trace";
export type { TraceSummary } from "./bindings/TraceSummary";
export type { TurnState } from "./bindings/TurnState";
export type { WaitKind } from "./bindings/WaitKind";
export type { Worktree } from "./bindings/Worktree";
import type { TraceSummary } from "./bindings/TraceSummary";

/** A page of traces, newest first. */
export interface TracePage {
  traces: TraceSummary[];
  next: string | null;
}
