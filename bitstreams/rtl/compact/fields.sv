// A descriptor, a word at a time: its fields, and whether it is refused. ../README.md has the words.
module fields #(
  parameter int AL = 32  // bits of addresses
) (
  input  logic clk,
  input  logic we,
  input  logic [4:0] at,
  input  logic [31:0] data,
  output tile_pkg::tile_t tile,
  output logic load_input, load_params, load_table, load_weights,
  output logic [AL-1:0] x, x_plane, x_row, constants,
  output logic [11:0] x_planes,
  output logic [15:0] x_to, w_to, w_count,
  output logic [7:0] verdict  // when all words are here
);
  always_ff @(posedge clk)
    if (we)
      case (at)
        5'd0: begin
          tile.layer.op <= data[7:0];
          {load_weights, load_table, load_params, load_input} <= data[19:16];
          tile.first <= data[20];
          tile.last <= data[21];
          tile.layer.table_on <= data[22];
          tile.layer.x_unsigned <= data[23];
          tile.layer.y_unsigned <= data[24];
        end
        5'd2: begin
          tile.slot <= data[9:8];
          tile.layer.table_slot <= data[16];
        end
        5'd3: x <= data[AL-1:0];
        5'd4: x_plane <= data[AL-1:0];
        5'd5: x_row <= data[AL-1:0];
        5'd6: begin
          tile.x_rows <= {4'd0, data[11:0]};
          tile.x_cols <= {4'd0, data[27:16]};
        end
        5'd7: begin
          x_planes <= data[11:0];
          x_to <= data[31:16];
        end
        5'd8: {tile.x_plane_pitch, tile.x_row_pitch} <= data;
        5'd9: constants <= data[AL-1:0];
        5'd10: {w_count, w_to} <= data;
        5'd11: tile.y_addr <= 32'(data[AL-1:0]);
        5'd12: tile.y_pitch <= 32'(data[AL-1:0]);
        5'd13: begin
          tile.y_rows <= {4'd0, data[11:0]};
          tile.y_cols <= {4'd0, data[27:16]};
        end
        5'd14: {tile.stride_x, tile.stride_y, tile.kernel_x, tile.kernel_y} <= data;
        5'd15: begin
          {tile.pitch_x, tile.pitch_y} <= data[15:0];
          tile.planes <= {4'd0, data[27:16]};
        end
        5'd16: {tile.origin_x, tile.origin_y} <= data;
        5'd17: {tile.layer.hi, tile.layer.lo, tile.layer.zero, tile.layer.pad} <= data;
        5'd18: {tile.w_base, tile.x_base} <= data;
        5'd19: tile.layer.scale <= data;
        5'd20: tile.sums_base <= data[15:0];
        default: ;
      endcase

  // ---- what is refused
  function automatic logic bad_extent(input logic [15:0] extent);
    bad_extent = extent == 0 || extent >= 16'(tile_pkg::MAX_EXTENT);
  endfunction
  wire [7:0] op = tile.layer.op, new_op = data[7:0];
  wire computes = op != tile_pkg::OP_STAMP;
  wire low_bad = bad_extent(data[15:0]), high_bad = bad_extent(data[31:16]);
  logic [31:0] sum;
  logic opcode, reserved, extent, slot, alignment;
  always_ff @(posedge clk)
    if (we) begin
      sum <= (at == 0 ? 32'd0 : sum) + data;
      if (at == 0) begin
        opcode <= new_op == 0 || new_op > tile_pkg::OP_STAMP;
        reserved <= data[15:8] != 8'h54 || data[31:26] != 0 || new_op == tile_pkg::OP_STAMP && data[19:16] != 0
          || (new_op == tile_pkg::OP_MAX || new_op == tile_pkg::OP_ADD) && data[21:20] != 2'b11
          || new_op == tile_pkg::OP_ADD && data[22];
        extent <= 0;
        slot <= 0;
        alignment <= 0;
      end
      if (at == 2 && data[31:24] != 0 || at == 20 && data[31:16] != 0 || at > 20 && at != 31 && data != 0) reserved <= 1;
      if (at == 2) slot <= data[15:10] != 0 || data[23:17] != 0;
      case (at)
        5'd6, 5'd13: if (computes && (low_bad || high_bad)) extent <= 1;
        5'd7: if (load_input && low_bad) extent <= 1;
        5'd10: if (load_weights && data[31:16] == 0) extent <= 1;
        5'd14: if (computes && (data[7:0] == 0 || data[15:8] == 0)) extent <= 1;
        5'd15: if (computes && high_bad) extent <= 1;
        5'd3, 5'd4, 5'd5, 5'd9, 5'd11, 5'd12: if (data[1:0] != 0) alignment <= 1;
        default: ;
      endcase
    end
  always_comb begin
    verdict = tile_pkg::ERR_NONE;
    if (alignment) verdict = tile_pkg::ERR_ALIGNMENT;
    if (slot) verdict = tile_pkg::ERR_SLOT;
    if (extent) verdict = tile_pkg::ERR_EXTENT;
    if (reserved) verdict = tile_pkg::ERR_RESERVED;
    if (opcode) verdict = tile_pkg::ERR_OPCODE;
    if (sum != 0) verdict = tile_pkg::ERR_CHECKSUM;
  end
endmodule
