// The engine: N x N products of bytes a clock, fed by a list of tiles in external memory. README.md is its manual.
module engine #(
  parameter int N = 16,      // input lanes, output lanes, bytes of a word of memory: 4, 8 or 16
  parameter int NRQ = 8,     // results requantized a clock: N/4 to N
  parameter int BYL = 1, BXL = 2,  // log2 of the banks of activations, rows and columns
  parameter int DL = 10,     // log2 of the words in each bank
  parameter int WDL = 9,     // log2 of the words of weights, of N*N bytes
  parameter int SUMSL = 8,   // log2 of the pixels whose sums are kept
  parameter int FDL = 9,     // log2 of the words of results that wait for memory
  parameter int DSP = 16,    // products of each lane that are left to the device's multipliers
  parameter int PAIRS = 0,   // products of each lane that share a multiplier with the next lane's: at most N - BX * BY
  parameter bit ADD = 1,     // additions
  parameter int AL = 32      // bits of addresses: what memory has
) (
  input  logic clk, rst,
  // registers: 32-bit words; what is read is there a clock later
  input  logic reg_valid, reg_write,
  input  logic [7:0] reg_addr,
  /* verilator lint_off UNUSEDSIGNAL */
  input  logic [31:0] reg_wdata,
  /* verilator lint_on UNUSEDSIGNAL */
  output logic [31:0] reg_rdata,
  // external memory, in words of N bytes at byte addresses
  output logic rd_valid,
  input  logic rd_ready,
  output logic [AL-1:0] rd_addr,
  input  logic rsp_valid,
  input  logic [N*8-1:0] rsp_data,
  output logic wr_valid,
  input  logic wr_ready,
  output logic [AL-1:0] wr_addr,
  output logic [N*8-1:0] wr_data,
  output logic busy
);
  localparam int BY = 1 << BYL, BX = 1 << BXL, T = BY * BX, L = $clog2(N);
  localparam bit QUAD = BX >= N / 4;
  localparam int CL = AL - 6;           // bits of a number of descriptors: more than memory holds
  localparam int ACT = 7;               // clocks of a read of activations
  localparam int SUM_AT = ACT + 1 + 3 + L;  // the clock at whose end a lane takes in a step

  // ---- registers
  logic [AL-1:0] list;
  logic [CL-1:0] count, tiles, index, error_index;
  logic [31:0] cycles, steps_issued, wait_load, wait_drain, wait_room, reads, writes;
  logic [7:0] error;
  logic [15:0] outstanding;
  logic done, start, stop;
  typedef enum logic [1:0] {READY, RUN, CLEAR} state_t;
  state_t state;
  wire order = reg_valid && reg_write && reg_addr == 8'h08;
  always_ff @(posedge clk) begin
    if (reg_valid && reg_write && reg_addr == 8'h0c) list <= reg_wdata[AL-1:0];
    if (reg_valid && reg_write && reg_addr == 8'h0d) count <= reg_wdata[CL-1:0];
    if (rst) begin
      list <= 0;
      count <= 0;
    end
    case (reg_addr)
      8'h00: reg_rdata <= tile_pkg::ID;
      8'h01: reg_rdata <= tile_pkg::ABI;
      8'h02: reg_rdata <= {6'd0, QUAD, ADD, 4'(BXL), 4'(BYL), 8'(NRQ), 8'(N)};
      8'h03: reg_rdata <= 32'(T) << DL;
      8'h04: reg_rdata <= 32'd1 << WDL;
      8'h05: reg_rdata <= 32'd1 << SUMSL;
      8'h06: reg_rdata <= {16'(tile_pkg::TABLE_SLOTS), 16'(tile_pkg::PARAM_SLOTS)};
      8'h09: reg_rdata <= {29'd0, error != 0, done, busy};
      8'h0a: reg_rdata <= 32'(error);
      8'h0b: reg_rdata <= 32'(error_index);
      8'h0c: reg_rdata <= 32'(list);
      8'h0d: reg_rdata <= 32'(count);
      8'h10: reg_rdata <= cycles;
      8'h11: reg_rdata <= steps_issued;
      8'h12: reg_rdata <= wait_load;
      8'h13: reg_rdata <= wait_drain;
      8'h14: reg_rdata <= wait_room;
      8'h15: reg_rdata <= reads;
      8'h16: reg_rdata <= writes;
      8'h17: reg_rdata <= 32'(tiles);
      default: reg_rdata <= 0;
    endcase
  end
  // Much hangs on a start: it is a register, and the engine is busy from it on.
  always_ff @(posedge clk) begin
    start <= order && reg_wdata[0] && !busy && !rst;
    stop <= order && reg_wdata[1];
  end
  assign busy = state != READY || start;
  logic kill;
  logic [6:0] flush;
  wire reset = rst | kill;

  // ---- loading
  logic x_we, params_we, params_scale, table_we, table_slot, tile_given, tile_ready, all_given, stores_idle;
  logic [BY-1:0] x_row;
  logic [BX-1:0] x_col;
  logic [DL-1:0] x_addr;
  logic [N-1:0] w_we;
  logic [WDL-1:0] w_addr;
  logic [1:0] params_slot, params_beat;
  logic [7:0] table_entry, load_error;
  logic [31:0] table_data;
  logic [N*8-1:0] data;
  tile_pkg::tile_t given, waiting, tile;
  loader #(.N(N), .BYL(BYL), .BXL(BXL), .DL(DL), .WDL(WDL), .AL(AL), .ADD(ADD), .QUAD(QUAD)) u_loader (
    .clk, .rst(reset), .start, .list, .count, .rd_valid, .rd_ready, .rd_addr, .rsp_valid(rsp_valid && state == RUN), .rsp_data,
    .tiles_done(tiles), .stores_idle, .x_we, .x_row, .x_col, .x_addr, .w_we, .w_addr, .params_we, .params_scale,
    .params_slot, .params_beat, .table_we, .table_slot, .table_entry, .table_data, .data,
    .tile_valid(tile_given), .tile_ready, .tile(given), .all_given, .error(load_error), .index);

  // ---- a tile waits while another is computed
  logic have, compared, take_tile, begin_tile, steps_busy, held_drain, held_room, full, store_ready;
  logic [1:0] quiet;       // clocks since the last step
  logic [15:0] on_the_way; // pixels between the steps and their results
  logic same, store_tile, stamped;
  assign tile_ready = !have;
  wire is_stamp = waiting.layer.op == tile_pkg::OP_STAMP;
  logic drained;  // a clock late, which `quiet` makes up for
  wire may_begin = have && compared && !take_tile && !steps_busy && quiet[1]
    && (drained || (same && waiting.first && !is_stamp))
    && (store_ready || !waiting.last && !is_stamp) && (!is_stamp || stores_idle);
  assign store_tile = begin_tile && (tile.last || stamped);
  always_ff @(posedge clk) begin
    same <= waiting.layer == tile.layer && !stamped;
    compared <= have;
    if (tile_given && tile_ready) begin
      waiting <= given;
      have <= 1;
    end
    quiet <= steps_busy || begin_tile ? 2'd0 : {quiet[0], 1'b1};
    drained <= on_the_way == 0;
    take_tile <= may_begin;
    begin_tile <= take_tile;
    if (take_tile) begin
      tile <= waiting;
      stamped <= is_stamp;
      have <= 0;
      compared <= 0;
    end
    if (reset) begin
      have <= 0;
      take_tile <= 0;
      begin_tile <= 0;
      quiet <= '1;
      stamped <= 0;
    end
  end
  // ---- steps, activations, products
  logic step_valid, step_first, step_last;
  logic signed [15:0] step_y, step_x;
  logic [15:0] step_plane, step_weight;
  tile_pkg::tag_t step_tag;
  steps #(.DRAIN(N / NRQ)) u_steps (
    .clk, .rst(reset), .tile, .start(begin_tile && !stamped), .hold(full), .busy(steps_busy), .held_drain, .held_room,
    .valid(step_valid), .first(step_first), .last(step_last), .y(step_y), .x(step_x), .plane(step_plane),
    .weight(step_weight), .tag(step_tag));
  logic [T*N*8-1:0] taps, taps8;
  logic x_over;
  activations #(.N(N), .BYL(BYL), .BXL(BXL), .DL(DL)) u_activations (
    .clk, .we(x_we), .w_row(x_row), .w_col(x_col), .w_addr(x_addr), .w_data(data),
    .tile, .valid(step_valid), .y(step_y), .x(step_x), .plane(step_plane), .taps, .out_of_range(x_over));
  always_ff @(posedge clk) taps8 <= taps;
  logic [N*8-1:0] common7;
  always_comb begin
    common7 = taps[N*8-1:0];
    if (quad)
      for (int j = 0; j < N / 4; j++) common7[j*32+:32] = taps[(j%BX)*N*8+:32];
  end
  /* verilator lint_off UNUSEDSIGNAL */
  logic [15:0] weight4;
  /* verilator lint_on UNUSEDSIGNAL */
  delay #(.W(16), .LAT(ACT - 3)) u_weight (.clk, .d(step_weight), .q(weight4));
  logic sum_valid, sum_first, take;
  tile_pkg::tag_t take_tag;
  delay #(.W(2), .LAT(SUM_AT - 1)) u_sum (.clk, .d({step_valid, step_first}), .q({sum_valid, sum_first}));
  delay #(.W(1), .LAT(SUM_AT)) u_take (.clk, .d(step_last), .q(take));
  delay #(.W(tile_pkg::TAG_BITS), .LAT(SUM_AT + 1)) u_tag (.clk, .d(step_tag), .q(take_tag));
  // What the layer is does not change while its data are on their way.
  logic quad, depthwise, max, add;
  always_ff @(posedge clk) begin
    quad <= QUAD && tile.layer.op == tile_pkg::OP_QUAD;
    depthwise <= tile.layer.op == tile_pkg::OP_DEPTHWISE;
    max <= tile.layer.op == tile_pkg::OP_MAX;
    add <= ADD && tile.layer.op == tile_pkg::OP_ADD;
  end
  logic [N*32-1:0] sums;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [N*N*8-1:0] w0;       // weights as lanes have read them
  /* verilator lint_on UNUSEDSIGNAL */
  logic [N*N*16-1:0] paired;  // products that two lanes share a multiplier for
  // Groups of four lanes have copies of what all lanes need.
  for (genvar g = 0; g < N / 4; g++) begin : g_group
    logic [N*8-1:0] common;
    logic [WDL-1:0] ra5, ra6;
    logic valid, first, is_depthwise, is_max, is_add;
    copy #(.W(N * 8)) u_common (.clk, .d(common7), .q(common));
    copy #(.W(WDL)) u_ra (.clk, .d(weight4[WDL-1:0]), .q(ra5));
    copy #(.W(WDL)) u_ra6 (.clk, .d(ra5), .q(ra6));
    copy #(.W(5)) u_order (
      .clk, .d({sum_valid, sum_first, depthwise, max, add}), .q({valid, first, is_depthwise, is_max, is_add}));
    for (genvar k = 0; k < 4; k++) begin : g_lane
      localparam int O = g * 4 + k;
      logic [T*8-1:0] own;
      for (genvar t = 0; t < T; t++) begin : g_own
        assign own[t*8+:8] = taps8[(t*N+O)*8+:8];
      end
      lane #(.N(N), .T(T), .WDL(WDL), .DSP(DSP), .PAIRS(PAIRS)) u_lane (
        .clk, .we(w_we[O]), .wa(w_addr), .wd(data), .ra(ra6), .w0(w0[O*N*8+:N*8]), .depthwise(is_depthwise), .common, .own,
        .paired(paired[O*N*16+:N*16]), .valid, .first, .max(is_max), .add(is_add), .sum(sums[O*32+:32]));
      for (genvar i = 0; i < N; i++) begin : g_pair
        if (i < N - PAIRS) begin : g_none
          assign paired[(O*N+i)*16+:16] = '0;
        end else if (k % 2 == 0) begin : g_both
          pair u_pair (
            .clk, .x(common[i*8+:8]), .u(w0[((O+1)*N+i)*8+:8]), .v(w0[(O*N+i)*8+:8]),
            .xu(paired[((O+1)*N+i)*16+:16]), .xv(paired[(O*N+i)*16+:16]));
        end
      end
    end
  end

  // ---- results
  logic word_valid, word_ends_tile, kept_valid, kept_ends_tile, sums_over;
  logic [N*8-1:0] word;
  drain #(.N(N), .NRQ(NRQ), .SUMSL(SUMSL), .ADD(ADD)) u_drain (
    .clk, .rst(reset), .layer(tile.layer), .take, .sums, .tag(take_tag), .params_we, .params_scale, .params_slot,
    .params_beat, .params_data(data), .table_we, .table_wslot(table_slot), .table_entry, .table_data,
    .word_valid, .word, .word_ends_tile, .kept_valid, .kept_ends_tile, .out_of_range(sums_over));
  store #(.N(N), .FDL(FDL), .AL(AL)) u_store (
    .clk, .rst(reset), .tile_valid(store_tile), .tile_ready(store_ready), .stamp(stamped), .rows(tile.y_rows),
    .cols(tile.y_cols), .addr(tile.y_addr[AL-1:0]), .pitch(tile.y_pitch[AL-1:0]), .stamp_data({writes, reads, steps_issued, cycles}),
    .word_valid, .word, .full, .wr_valid, .wr_ready, .wr_addr, .wr_data, .idle(stores_idle));

  // ---- progress, refusals, counters
  logic weights_over;
  // A start comes before what these say of the list before it.
  logic all_tiles, all_handed_on;
  always_ff @(posedge clk) begin
    all_tiles <= tiles == count && !start;
    all_handed_on <= all_given && !start;
  end
  wire word_ended = word_valid & word_ends_tile, kept_ended = kept_valid & kept_ends_tile, stamp_began = begin_tile & stamped;
  wire read = rd_valid & rd_ready, written = wr_valid & wr_ready;
  wire multiplies = tile.layer.op == tile_pkg::OP_CONV || tile.layer.op == tile_pkg::OP_QUAD || tile.layer.op == tile_pkg::OP_DEPTHWISE;
  always_ff @(posedge clk) begin
    weights_over <= step_valid && multiplies && |step_weight[15:WDL];
    on_the_way <= on_the_way + 16'(step_last) - 16'(word_valid) - 16'(kept_valid);
    tiles <= tiles + CL'(word_ended) + CL'(kept_ended) + CL'(stamp_began);
    outstanding <= outstanding + 16'(read) - 16'(rsp_valid);
    if (state == RUN) begin
      cycles <= cycles + 1;
      steps_issued <= steps_issued + 32'(step_valid);
      wait_load <= wait_load + 32'(!steps_busy);
      wait_drain <= wait_drain + 32'(held_drain);
      wait_room <= wait_room + 32'(held_room);
      reads <= reads + 32'(read);
      writes <= writes + 32'(written);
    end
    kill <= 0;
    case (state)
      READY: if (start) begin
        state <= RUN;
        done <= 0;
        error <= 0;
        cycles <= 0;
        steps_issued <= 0;
        wait_load <= 0;
        wait_drain <= 0;
        wait_room <= 0;
        reads <= 0;
        writes <= 0;
        tiles <= 0;
        on_the_way <= 0;
      end
      RUN: if (load_error != 0 || x_over || weights_over || sums_over || stop) begin
        error <= load_error != 0 ? load_error : x_over ? tile_pkg::ERR_ACTIVATIONS : weights_over ? tile_pkg::ERR_WEIGHTS
          : sums_over ? tile_pkg::ERR_SUMS : tile_pkg::ERR_STOPPED;
        error_index <= load_error != 0 ? index : tiles;
        kill <= 1;
        flush <= 0;
        state <= CLEAR;
      end else if (all_handed_on && all_tiles && stores_idle) begin
        state <= READY;
        done <= 1;
      end
      // Answers that memory still owes are waited for, and what is in the pipelines.
      default: begin
        kill <= 1;
        flush <= flush + 1;
        if (outstanding == 0 && flush[6]) begin
          kill <= 0;
          state <= READY;
        end
      end
    endcase
    if (rst) begin
      state <= READY;
      kill <= 0;
      done <= 0;
      error <= 0;
      error_index <= 0;
      outstanding <= 0;
      tiles <= 0;
      on_the_way <= 0;
    end
  end

  // What the units count on.
`ifndef SYNTHESIS
  initial begin
    a_lanes : assert (N == 4 || N == 8 || N == 16);
    a_results : assert (NRQ >= N / 4 && NRQ <= N);
    a_taps : assert (T <= N && (PAIRS == 0 || T <= N - PAIRS));
  end
`endif
`ifndef SYNTHESIS
  always_ff @(posedge clk)
    if (!rst) begin
      a_no_result_without_a_pixel : assert (!(word_valid | kept_valid) || on_the_way != 0);
      a_memory_owes_no_more_than_asked : assert (!(rsp_valid && outstanding == 0));
    end
`endif
endmodule
